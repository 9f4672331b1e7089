// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records what a read does: bios that are handed to the block layer, direct reads that begin, pages that get
 * into the page cache, extent maps that are taken out of the cache. Each record bears the number of the read,
 * which user space writes into `current_read`: everything is submitted before a synchronous read returns.
 * What other programs do to the devices (they look for file systems there) is left out; kernel threads are not.
 *
 * Kernel structures are declared with the few members used, as in extent_io.bpf.c.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

#define KERNEL __attribute__((preserve_access_index))

typedef unsigned int u32;
typedef unsigned long long u64;

struct block_device {
	u32 bd_dev;
} KERNEL;

struct bvec_iter {
	u64 bi_sector;
	u32 bi_size;
} KERNEL;

struct bio {
	struct block_device *bi_bdev;
	u32 bi_opf;
	struct bvec_iter bi_iter;
} KERNEL;

struct super_block {
	u32 s_dev;
} KERNEL;

struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
} KERNEL;

struct address_space {
	struct inode *host;
} KERNEL;

struct folio {
	struct address_space *mapping;
	unsigned long index;
} KERNEL;

struct file {
	struct inode *f_inode;
} KERNEL;

struct kiocb {
	struct file *ki_filp;
	long long ki_pos;
	int ki_flags;
} KERNEL;

struct iov_iter {
	unsigned long count;
} KERNEL;

struct extent_map {
	u64 start;
	u64 len;
} KERNEL;

struct task_struct {
	void *mm;
} KERNEL;

struct btrfs_inode {
	struct inode vfs_inode;
} KERNEL;

enum kind { BIO = 1, DIRECT, PAGE, MAP_REMOVED };

/* harness/direct_io/events.py has the same. */
struct event {
	u64 time_ns;
	u64 number;	/* of the read */
	u64 ino;	/* 0 for a bio */
	u64 start;	/* sector; else file offset, of a page its index */
	u64 length;	/* bytes; of a page 0 */
	u32 dev;	/* of the block device; else of the super block */
	u32 flags;	/* bi_opf; ki_flags */
	u32 pid;
	u32 kind;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 26);
} events SEC(".maps");

/* Block devices and super blocks of the recorded file system. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u32);
} devices SEC(".maps");

struct current_read {
	u64 number;
	u64 tgid;	/* of the program that reads */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct current_read);
} current_reads SEC(".maps");

/* Recorded, lost because the buffer was full. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

static __always_inline void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		*value += 1;
}

static __always_inline int foreign(struct current_read *current)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return bpf_get_current_pid_tgid() >> 32 != current->tgid && BPF_CORE_READ(task, mm);
}

static __always_inline int record(u32 kind, u32 dev, u64 ino, u64 start, u64 length, u32 flags)
{
	u32 zero = 0;
	struct current_read *current = bpf_map_lookup_elem(&current_reads, &zero);
	struct event *event;

	if (!current || !bpf_map_lookup_elem(&devices, &dev) || foreign(current))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count(1);
		return 0;
	}
	count(0);
	event->time_ns = bpf_ktime_get_ns();
	event->number = current->number;
	event->ino = ino;
	event->start = start;
	event->length = length;
	event->dev = dev;
	event->flags = flags;
	event->pid = (u32)bpf_get_current_pid_tgid();
	event->kind = kind;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("raw_tp")
int on_bio(struct bpf_raw_tracepoint_args *ctx)
{
	struct bio *bio = (void *)ctx->args[0];

	return record(BIO, BPF_CORE_READ(bio, bi_bdev, bd_dev), 0, BPF_CORE_READ(bio, bi_iter.bi_sector),
		      BPF_CORE_READ(bio, bi_iter.bi_size), BPF_CORE_READ(bio, bi_opf));
}

SEC("raw_tp")
int on_direct(struct bpf_raw_tracepoint_args *ctx)
{
	struct kiocb *iocb = (void *)ctx->args[0];
	struct iov_iter *iter = (void *)ctx->args[1];
	struct inode *inode = BPF_CORE_READ(iocb, ki_filp, f_inode);

	return record(DIRECT, BPF_CORE_READ(inode, i_sb, s_dev), BPF_CORE_READ(inode, i_ino),
		      BPF_CORE_READ(iocb, ki_pos), BPF_CORE_READ(iter, count), BPF_CORE_READ(iocb, ki_flags));
}

SEC("raw_tp")
int on_page(struct bpf_raw_tracepoint_args *ctx)
{
	struct folio *folio = (void *)ctx->args[0];
	struct inode *inode = BPF_CORE_READ(folio, mapping, host);

	return record(PAGE, BPF_CORE_READ(inode, i_sb, s_dev), BPF_CORE_READ(inode, i_ino),
		      BPF_CORE_READ(folio, index), 0, 0);
}

SEC("raw_tp")
int on_map_removed(struct bpf_raw_tracepoint_args *ctx)
{
	struct btrfs_inode *inode = (void *)ctx->args[0];
	struct extent_map *map = (void *)ctx->args[1];

	return record(MAP_REMOVED, BPF_CORE_READ(inode, vfs_inode.i_sb, s_dev),
		      BPF_CORE_READ(inode, vfs_inode.i_ino), BPF_CORE_READ(map, start), BPF_CORE_READ(map, len), 0);
}
