// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records what a read does: bios that are handed to the block layer, direct reads that begin, pages that get
 * into the page cache, extent maps that are taken out of the cache. Each record bears the number of the read,
 * which user space writes into `current_read`: everything is submitted before a synchronous read returns.
 * What other programs do to the devices (they look for file systems there) is left out; kernel threads are not.
 *
 * Nothing here depends on an offset. User space says which programs there are to be and where each is attached: that
 * differs between kernels (harness/direct_io/kernel.py).
 */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

#include "direct_io_types.bpf.h"

#define PAGE_BYTES 4096
#define MINORBITS 20		/* include/linux/kdev_t.h */
#define PF_KTHREAD 0x00200000	/* include/linux/sched.h */

enum kind { BIO = 1, DIRECT, PAGE, MAP_REMOVED, CALL, QUEUED_CALL, DONE, PAGE_REMOVED };

/* harness/direct_io/events.py has the same. */
struct event {
	u64 time_ns;
	u64 number;	/* of the read */
	u64 ino;	/* 0 for a bio */
	u64 start;	/* sector; else file offset, of a page its index */
	u64 length;	/* bytes; of DONE what was returned */
	u64 iocb;	/* of CALL, QUEUED_CALL and DONE */
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

/* The bit of a folio's flags by which larger ones are told; 0 where btrfs has none of them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} large SEC(".maps");

struct current_read {
	u64 number;
	u64 tgid;	/* of the program that reads; 0: whoever reads, and each call has a number of its own */
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
		__sync_fetch_and_add(value, 1); /* an interrupt may count meanwhile */
}

/* A task's last call: the lower half of what is an event's number. In the upper half is `current_read.number`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 14);
	__type(key, u32);
	__type(value, u32);
} calls SEC(".maps");

/* A kernel thread may have borrowed memory of whoever it works for, so that tells nothing. */
static __always_inline int is_kernel_thread(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, flags) & PF_KTHREAD;
}

/* Returns 0 if the task is none of those whose doings are recorded. */
static __always_inline int number_of(struct current_read *current, u64 *number)
{
	u64 task = bpf_get_current_pid_tgid();
	u32 tid = (u32)task;
	u32 *call;

	*number = current->number;
	if (current->tgid)
		return task >> 32 == current->tgid || is_kernel_thread();
	call = bpf_map_lookup_elem(&calls, &tid);
	*number = *number << 32 | (call ? *call : 0);
	return call || is_kernel_thread();
}

static __always_inline int write_record(u64 number, u32 kind, u32 dev, u64 ino, u64 start, u64 length, u32 flags,
					u64 iocb)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count(1);
		return 0;
	}
	count(0);
	event->time_ns = bpf_ktime_get_ns();
	event->number = number;
	event->ino = ino;
	event->start = start;
	event->length = length;
	event->iocb = iocb;
	event->dev = dev;
	event->flags = flags;
	event->pid = (u32)bpf_get_current_pid_tgid();
	event->kind = kind;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline int record(u32 kind, u32 dev, u64 ino, u64 start, u64 length, u32 flags)
{
	u32 zero = 0;
	struct current_read *current = bpf_map_lookup_elem(&current_reads, &zero);
	u64 number;

	if (!current || !bpf_map_lookup_elem(&devices, &dev) || !number_of(current, &number))
		return 0;
	return write_record(number, kind, dev, ino, start, length, flags, 0);
}

static __always_inline u32 device_of(struct bio *bio)
{
	struct bio___of_disk *older = (void *)bio;

	if (bpf_core_field_exists(older->bi_disk)) {
		struct gendisk *disk = BPF_CORE_READ(older, bi_disk);

		return (BPF_CORE_READ(disk, major) << MINORBITS) +
		       BPF_CORE_READ(disk, first_minor) + BPF_CORE_READ(older, bi_partno);
	}
	return BPF_CORE_READ(bio, bi_bdev, bd_dev);
}

static __always_inline int queued(struct bio *bio)
{
	return record(BIO, device_of(bio), 0, BPF_CORE_READ(bio, bi_iter.bi_sector),
		      BPF_CORE_READ(bio, bi_iter.bi_size), BPF_CORE_READ(bio, bi_opf));
}

static __always_inline int direct(struct kiocb *iocb, struct iov_iter *iter)
{
	struct inode *inode = BPF_CORE_READ(iocb, ki_filp, f_inode);

	return record(DIRECT, BPF_CORE_READ(inode, i_sb, s_dev), BPF_CORE_READ(inode, i_ino),
		      BPF_CORE_READ(iocb, ki_pos), BPF_CORE_READ(iter, count), BPF_CORE_READ(iocb, ki_flags));
}

static __always_inline u64 folio_bytes(struct folio *folio)
{
	u32 zero = 0;
	u64 *bit = bpf_map_lookup_elem(&large, &zero);

	if (bpf_core_field_exists(folio->flags) && bpf_core_field_exists(folio->_nr_pages) && bit &&
	    BPF_CORE_READ(folio, flags.f) & *bit)
		return (u64)BPF_CORE_READ(folio, _nr_pages) * PAGE_BYTES;
	return PAGE_BYTES;
}

static __always_inline int cached(struct folio *folio)
{
	struct page *page = (void *)folio;
	u64 index, bytes = PAGE_BYTES;
	struct inode *inode;

	if (bpf_core_type_exists(struct folio)) {
		inode = BPF_CORE_READ(folio, mapping, host);
		index = BPF_CORE_READ(folio, index);
		bytes = folio_bytes(folio);
	} else {
		inode = BPF_CORE_READ(page, mapping, host);
		index = BPF_CORE_READ(page, index);
	}
	return record(PAGE, BPF_CORE_READ(inode, i_sb, s_dev), BPF_CORE_READ(inode, i_ino), index, bytes, 0);
}

static __always_inline int map_removed(struct btrfs_inode *inode, struct extent_map *map)
{
	return record(MAP_REMOVED, BPF_CORE_READ(inode, vfs_inode.i_sb, s_dev),
		      BPF_CORE_READ(inode, vfs_inode.i_ino), BPF_CORE_READ(map, start), BPF_CORE_READ(map, len), 0);
}

/* What follows is for recordings in which each call has a number: whoever makes it, at whatever time. */

static __always_inline struct inode *inode_of(struct kiocb *iocb)
{
	return BPF_CORE_READ(iocb, ki_filp, f_inode);
}

/* How many calls began on each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} begun SEC(".maps");

/* Programs at kprobes are not preempted, so the CPU tells apart what begins at one time. */
static __always_inline u32 next_call(void)
{
	u32 zero = 0, *count = bpf_map_lookup_elem(&begun, &zero);

	if (!count)
		return 0;
	*count += 1;
	return *count << 8 | (bpf_get_smp_processor_id() & 0xff);
}

static __always_inline int begins(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = inode_of(iocb);
	u32 zero = 0, tid = (u32)bpf_get_current_pid_tgid(), dev = BPF_CORE_READ(inode, i_sb, s_dev);
	struct current_read *current = bpf_map_lookup_elem(&current_reads, &zero);
	u32 call;

	if (!current || !bpf_map_lookup_elem(&devices, &dev))
		return 0;
	call = next_call();
	if (bpf_map_update_elem(&calls, &tid, &call, BPF_ANY)) {
		count(1);
		return 0;
	}
	return write_record(current->number << 32 | call, BPF_CORE_READ(iocb, ki_complete) ? QUEUED_CALL : CALL, dev,
			    BPF_CORE_READ(inode, i_ino), BPF_CORE_READ(iocb, ki_pos), BPF_CORE_READ(to, count),
			    BPF_CORE_READ(iocb, ki_flags), (u64)iocb);
}

static __always_inline int record_of_anyone(u32 kind, struct inode *inode, u64 start, u64 length, u32 flags, u64 iocb)
{
	u32 zero = 0, dev = BPF_CORE_READ(inode, i_sb, s_dev);
	struct current_read *current = bpf_map_lookup_elem(&current_reads, &zero);

	if (!current || !bpf_map_lookup_elem(&devices, &dev))
		return 0;
	return write_record(current->number << 32, kind, dev, BPF_CORE_READ(inode, i_ino), start, length, flags, iocb);
}

static __always_inline int done(struct kiocb *iocb, u64 error, u64 returned)
{
	return record_of_anyone(DONE, inode_of(iocb), BPF_CORE_READ(iocb, ki_pos), returned, error, (u64)iocb);
}

static __always_inline int page_removed(struct folio *folio)
{
	struct page *page = (void *)folio;

	if (bpf_core_type_exists(struct folio))
		return record_of_anyone(PAGE_REMOVED, BPF_CORE_READ(folio, mapping, host), BPF_CORE_READ(folio, index),
					folio_bytes(folio), 0, 0);
	return record_of_anyone(PAGE_REMOVED, BPF_CORE_READ(page, mapping, host), BPF_CORE_READ(page, index),
				PAGE_BYTES, 0, 0);
}

SEC("?raw_tp")
int on_bio(struct bpf_raw_tracepoint_args *ctx)
{
	return queued((void *)ctx->args[0]);
}

/* The tracepoint tells the queue first (up to 5.11). */
SEC("?raw_tp")
int on_bio_of_queue(struct bpf_raw_tracepoint_args *ctx)
{
	return queued((void *)ctx->args[1]);
}

SEC("?raw_tp")
int on_direct(struct bpf_raw_tracepoint_args *ctx)
{
	return direct((void *)ctx->args[0], (void *)ctx->args[1]);
}

SEC("?raw_tp")
int on_page(struct bpf_raw_tracepoint_args *ctx)
{
	return cached((void *)ctx->args[0]);
}

SEC("?raw_tp")
int on_map_removed(struct bpf_raw_tracepoint_args *ctx)
{
	return map_removed((void *)ctx->args[0], (void *)ctx->args[1]);
}

SEC("?raw_tp")
int on_done(struct bpf_raw_tracepoint_args *ctx)
{
	return done((void *)ctx->args[0], ctx->args[1], ctx->args[2]);
}

SEC("?raw_tp")
int on_page_removed(struct bpf_raw_tracepoint_args *ctx)
{
	return page_removed((void *)ctx->args[0]);
}

/*
 * Where there are no kprobes: a read of whole blocks begins with a direct part before which nothing was done. Others
 * are not seen to begin.
 */
SEC("?raw_tp")
int on_whole_call(struct bpf_raw_tracepoint_args *ctx)
{
	u64 done_before = ctx->args[3];

	return done_before ? 0 : begins((void *)ctx->args[0], (void *)ctx->args[1]);
}

/* As in extent_io.bpf.c: where tracepoints can be preempted, kprobes where they are called take their place. */
SEC("?raw_tp")
int nothing(void *ctx)
{
	return 0;
}

#ifdef __TARGET_ARCH_x86
/* iomap_dio_rw(iocb, iter, ...): before there was a tracepoint in it (up to 6.5). */
SEC("?kprobe")
int on_direct_entry(struct pt_regs *ctx)
{
	return direct((void *)ctx->rdi, (void *)ctx->rsi);
}

SEC("?kprobe")
int on_bio_call(struct pt_regs *ctx)
{
	return queued((void *)ctx->rsi);
}

SEC("?kprobe")
int on_direct_call(struct pt_regs *ctx)
{
	return direct((void *)ctx->rsi, (void *)ctx->rdx);
}

SEC("?kprobe")
int on_page_call(struct pt_regs *ctx)
{
	return cached((void *)ctx->rsi);
}

SEC("?kprobe")
int on_map_removed_call(struct pt_regs *ctx)
{
	return map_removed((void *)ctx->rsi, (void *)ctx->rdx);
}

/* btrfs_file_read_iter(iocb, to) */
SEC("?kprobe")
int on_call(struct pt_regs *ctx)
{
	return begins((void *)ctx->rdi, (void *)ctx->rsi);
}

SEC("?kprobe")
int on_done_call(struct pt_regs *ctx)
{
	return done((void *)ctx->rsi, ctx->rdx, ctx->rcx);
}

SEC("?kprobe")
int on_page_removed_call(struct pt_regs *ctx)
{
	return page_removed((void *)ctx->rsi);
}
#endif
