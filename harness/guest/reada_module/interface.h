/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the module and its user (harness/guest/reada_device.py) agree on: records, requests, ioctls. */

#ifndef IODIFF_READA_INTERFACE_H
#define IODIFF_READA_INTERFACE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* What a record tells of; harness/readahead/record.py says which fields go with it. */
enum iodiff_kind {
	IODIFF_ADD = 1,
	IODIFF_ADD_RETURN,
	IODIFF_WAIT,
	IODIFF_WAIT_RETURN,
	IODIFF_DETACH,
	IODIFF_DEV,
	IODIFF_DEV_RETURN,
	IODIFF_SUBMIT,
	IODIFF_HOOK,
	IODIFF_HOOK_RETURN,
	IODIFF_WALK,
	IODIFF_WALK_END,
	IODIFF_WORKER,
	IODIFF_WORKER_END,
	IODIFF_PICK,
	IODIFF_ZONE,
	IODIFF_PICK_RETURN,
	IODIFF_BLOCK,
	IODIFF_BLOCK_RETURN,
	IODIFF_HOOK_WORK,
	IODIFF_HOOK_WORK_END,
	IODIFF_PUT,
	IODIFF_MACHINE,
};

struct iodiff_record {
	__u64 time_ns;
	__u64 logical;
	__u64 rc;
	__u64 start;
	__u64 end;
	__u64 next;
	__s64 value;
	__u32 pid;
	__u32 devid;
	__s32 err;
	__u16 cpu;
	__u8 kind;
	__u8 mirror;
	__u8 locked;
	__u8 unused[7];
};

#define IODIFF_MAX_DEVICES 16

struct iodiff_device {
	__u64 devid;
	__u64 missing;
};

/* IODIFF_START: trace the file system of `fd`. */
struct iodiff_trace {
	__s32 fd;
	__u32 devices;		/* out */
	struct iodiff_device device[IODIFF_MAX_DEVICES];	/* out, in the order of fs_devices->devices */
};

/* IODIFF_STOP: how much there is. Of calls that found no free kretprobe instance the records are lost. */
struct iodiff_counts {
	__u64 recorded;
	__u64 lost_ring;
	__u64 lost_probe;
};

struct iodiff_key {
	__u64 objectid;
	__u64 type;
	__u64 offset;
};

/* IODIFF_ADD_READAHEAD, IODIFF_WALK_TREE: the keys from `first` up to, not including, `last`. */
struct iodiff_request {
	__s32 fd;
	__u32 number;
	__u64 tree;
	struct iodiff_key first;
	struct iodiff_key last;
	__u64 leaves;		/* out: of a walk */
	__s64 handle;		/* out: of a readahead, to be given back once; -1 when it could not begin */
	__s64 result;		/* out: 0 or a negative error number */
};

#define IODIFF_START _IOWR('D', 1, struct iodiff_trace)
#define IODIFF_STOP _IOR('D', 2, struct iodiff_counts)
#define IODIFF_ADD_READAHEAD _IOWR('D', 3, struct iodiff_request)
#define IODIFF_WAIT_READAHEAD _IO('D', 4)	/* argument: handle */
#define IODIFF_DETACH_READAHEAD _IO('D', 5)	/* argument: handle */
#define IODIFF_WALK_TREE _IOWR('D', 6, struct iodiff_request)

#endif
