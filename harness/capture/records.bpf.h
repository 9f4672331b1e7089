/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What passes between the programs and user space; records.py and extent_io.py have the same. */
enum kind { SET = 1, CLEAR, CONVERT, ALLOC, FREE };

/* One fixed size for all kinds, so that user space decodes a whole buffer at once. */
struct event {
	__u64 time_ns;
	__u64 ptr;
	__u64 start;
	__u64 len;
	__u64 ino;
	__u64 root;
	__u32 bits;
	__u32 clear_bits;
	__u32 pid;
	__u16 cpu;
	__u8 kind;
	__u8 owner;
};

struct config {
	__u32 inode_owner;	/* IO_TREE_INODE_IO */
	__u32 device_owner;	/* IO_TREE_DEVICE_ALLOC_STATE */
	__u32 clear_all_bits;	/* EXTENT_CLEAR_ALL_BITS, where only `delete` says it */
	__u32 compared;		/* the layout of structures is to be compared with trace events */
};

enum counter { RECORDED, LOST_RING, LOST_TASK, LOST_STATE, CLEARS, AGREED, DISAGREED, COUNTERS };
