// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records every operation on the extent-io-trees of chosen btrfs file systems, and reads trees on demand.
 *
 * Kernel structures are declared with the few members used; libbpf relocates them against the running
 * kernel's BTF (CO-RE), or against one of `layouts`. Nothing here depends on an offset or on the value of an
 * enumerator. User space says where each program is attached: names differ between kernels.
 */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

#include "kernel_types.bpf.h"
#include "records.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 26);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} configuration SEC(".maps");

/* The first eight bytes of each recorded file system's fsid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, __u8);
} filesystems SEC(".maps");

/* Tasks whose latest operation was on a recorded file system: their allocations belong to it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, __u32);
	__type(value, __u8);
} tasks SEC(".maps");

/* Live states of recorded file systems: the free tracepoint knows no file system. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 19);
	__type(key, __u64);
	__type(value, __u8);
} states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		*value += 1;
}

struct tree_facts {
	__u64 fsid;
	__u64 ino;
	__u64 root;
	__u32 owner;
};

/* The inode that the tree says it belongs to, as btrfs's own tracepoints ask for it; 0 for none. */
static __always_inline struct btrfs_inode *inode_of(struct extent_io_tree *tree, int of_inode)
{
	struct extent_io_tree___private_data *older = (void *)tree;

	if (bpf_core_field_exists(older->private_data)) {
		void *inode = BPF_CORE_READ(older, private_data);

		return inode ? inode - bpf_core_field_offset(struct btrfs_inode, vfs_inode) : 0;
	}
	return of_inode ? BPF_CORE_READ(tree, inode) : 0;
}

static __always_inline void describe_tree(struct extent_io_tree *tree, struct tree_facts *facts)
{
	struct btrfs_fs_devices *fs_devices;
	struct btrfs_inode *inode;
	__u32 zero = 0;
	struct config *config = bpf_map_lookup_elem(&configuration, &zero);

	facts->fsid = facts->ino = facts->root = 0;
	facts->owner = BPF_CORE_READ(tree, owner);
	if (!config)
		return;
	inode = inode_of(tree, facts->owner == config->inode_owner);
	if (inode) {
		struct btrfs_root *root = BPF_CORE_READ(inode, root);

		facts->ino = BPF_CORE_READ(inode, vfs_inode.i_ino);
		facts->root = BPF_CORE_READ(root, root_key.objectid);
		fs_devices = BPF_CORE_READ(root, fs_info, fs_devices);
	} else if (facts->owner == config->device_owner) {
		/* These trees know no fs_info; the device they are part of knows its set. */
		struct btrfs_device *device =
			(void *)tree - bpf_core_field_offset(struct btrfs_device, alloc_state);

		fs_devices = BPF_CORE_READ(device, fs_devices);
	} else {
		fs_devices = BPF_CORE_READ(tree, fs_info, fs_devices);
	}
	bpf_core_read(&facts->fsid, sizeof(facts->fsid), &fs_devices->fsid);
}

/* The latest set of each task, to be compared. */
struct set_seen {
	__u64 start;
	__u64 len;
	__u32 bits;
	struct tree_facts facts;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 12);
	__type(key, __u32);
	__type(value, struct set_seen);
} sets SEC(".maps");

struct arguments {
	__u64 tree;
	__u64 start;
	__u64 len;
	__u32 bits;
	__u32 clear_bits;
};

static __always_inline void remember(struct arguments *args)
{
	__u32 zero = 0, pid = (__u32)bpf_get_current_pid_tgid();
	struct config *config = bpf_map_lookup_elem(&configuration, &zero);
	struct set_seen seen;

	if (!config || !config->compared)
		return;
	__builtin_memset(&seen, 0, sizeof(seen));
	seen.start = args->start;
	seen.len = args->len;
	seen.bits = args->bits;
	describe_tree((void *)args->tree, &seen.facts);
	bpf_map_update_elem(&sets, &pid, &seen, BPF_ANY);
}

static __always_inline struct event *reserve(__u8 kind, __u64 ptr)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count(LOST_RING);
		return 0;
	}
	count(RECORDED);
	event->time_ns = bpf_ktime_get_ns();
	event->ptr = ptr;
	event->pid = (__u32)bpf_get_current_pid_tgid();
	event->cpu = bpf_get_smp_processor_id();
	event->kind = kind;
	event->owner = 0;
	event->start = event->len = event->ino = event->root = 0;
	event->bits = event->clear_bits = 0;
	return event;
}

/* User space drains the buffer on a timer; waking it for each event would slow the workload. */
static __always_inline void submit(struct event *event)
{
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

static __always_inline int operation(__u8 kind, struct arguments *args)
{
	struct extent_io_tree *tree = (void *)args->tree;
	__u32 pid = (__u32)bpf_get_current_pid_tgid();
	struct tree_facts facts;
	struct event *event;
	__u8 one = 1;

	describe_tree(tree, &facts);
	if (!bpf_map_lookup_elem(&filesystems, &facts.fsid)) {
		bpf_map_delete_elem(&tasks, &pid);
		return 0;
	}
	if (bpf_map_update_elem(&tasks, &pid, &one, BPF_ANY))
		count(LOST_TASK);
	event = reserve(kind, args->tree);
	if (!event)
		return 0;
	event->start = args->start;
	event->len = args->len;
	event->bits = args->bits;
	event->clear_bits = args->clear_bits;
	event->owner = facts.owner;
	event->ino = facts.ino;
	event->root = facts.root;
	submit(event);
	return 0;
}

/* The tracepoints' arguments: tree, start, length, bits, and bits to clear of a conversion. */
#define ARGUMENTS(args) { .tree = (args)[0], .start = (args)[1], .len = (args)[2], .bits = (args)[3] }

SEC("?raw_tp")
int on_set(struct bpf_raw_tracepoint_args *ctx)
{
	struct arguments args = ARGUMENTS(ctx->args);

	remember(&args);
	return operation(SET, &args);
}

SEC("?raw_tp")
int on_clear(struct bpf_raw_tracepoint_args *ctx)
{
	struct arguments args = ARGUMENTS(ctx->args);

	return operation(CLEAR, &args);
}

SEC("?raw_tp")
int on_convert(struct bpf_raw_tracepoint_args *ctx)
{
	struct arguments args = ARGUMENTS(ctx->args);

	args.clear_bits = ctx->args[4];
	return operation(CONVERT, &args);
}

/*
 * Up to 6.0 a parameter of __clear_extent_bit(tree, start, end, bits, wake, delete, ...) says to clear whatever
 * is set, and the tracepoint a line below its entry does not tell. It is recorded as the bit that took its
 * place in 6.1. Only bits that states have can be cleared, so that bit means nothing else.
 */
#ifdef __TARGET_ARCH_x86
SEC("?kprobe")
int on_clear_entry(struct pt_regs *ctx)
{
	__u32 zero = 0;
	struct config *config = bpf_map_lookup_elem(&configuration, &zero);
	struct arguments args = { .tree = ctx->rdi, .start = ctx->rsi, .bits = ctx->rcx };

	if (!config)
		return 0;
	args.len = ctx->rdx - args.start + 1;
	args.bits &= ~config->clear_all_bits;
	if ((__u32)ctx->r9)
		args.bits |= config->clear_all_bits;
	return operation(CLEAR, &args);
}
#endif

/* A kprobe's program can be left out without a trace, the tracepoint's cannot: it counts what must be there. */
SEC("?raw_tp")
int on_clear_seen(struct bpf_raw_tracepoint_args *ctx)
{
	struct tree_facts facts;

	describe_tree((void *)ctx->args[0], &facts);
	if (bpf_map_lookup_elem(&filesystems, &facts.fsid))
		count(CLEARS);
	return 0;
}

/* What the trace event btrfs_set_extent_bit says; user space compares this with the event's format. */
struct set_entry {
	__u64 common;
	__u64 fsid[2];
	__u32 owner;
	__u64 ino;
	__u64 rootid;
	__u64 start;
	__u64 len;
	__u32 set_bits;
};

/* Runs behind on_set for the same event: did that find what the kernel itself found? */
SEC("?tp")
int compare_set(struct set_entry *entry)
{
	__u32 pid = (__u32)bpf_get_current_pid_tgid();
	struct set_seen *seen = bpf_map_lookup_elem(&sets, &pid);

	/* An interrupt may have come between. */
	if (!seen || seen->start != entry->start || seen->len != entry->len || seen->bits != entry->set_bits)
		return 0;
	/* Trees of devices know no file system, and their events none either. */
	if (seen->facts.owner == entry->owner && seen->facts.ino == entry->ino &&
	    seen->facts.root == entry->rootid && (!entry->fsid[0] || seen->facts.fsid == entry->fsid[0]))
		count(AGREED);
	else
		count(DISAGREED);
	return 0;
}

static __always_inline int allocation(__u64 state)
{
	__u32 pid = (__u32)bpf_get_current_pid_tgid();
	struct event *event;
	__u8 one = 1;

	if (!bpf_map_lookup_elem(&tasks, &pid))
		return 0;
	if (bpf_map_update_elem(&states, &state, &one, BPF_ANY))
		count(LOST_STATE);
	event = reserve(ALLOC, state);
	if (event)
		submit(event);
	return 0;
}

/* A state can be freed by any task, long after the operation that made it. */
static __always_inline int release(__u64 state)
{
	struct event *event;

	if (bpf_map_delete_elem(&states, &state))
		return 0;
	event = reserve(FREE, state);
	if (event)
		submit(event);
	return 0;
}

SEC("?raw_tp")
int on_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	return allocation(ctx->args[0]);
}

SEC("?raw_tp")
int on_free(struct bpf_raw_tracepoint_args *ctx)
{
	return release(ctx->args[0]);
}

/*
 * Where tracepoints can be preempted (from 7.0 on), a program at one is left out while another task of its CPU
 * is in the middle of it. A kprobe at the function that calls a tracepoint's programs,
 * __traceiter_NAME(data, arguments...), cannot be preempted. That function is only called where there are two
 * programs or more: `nothing` is put there twice.
 */
SEC("?raw_tp")
int nothing(void *ctx)
{
	return 0;
}

#ifdef __TARGET_ARCH_x86
#define CALLED(regs) { .tree = (regs)->rsi, .start = (regs)->rdx, .len = (regs)->rcx, .bits = (regs)->r8 }

SEC("?kprobe")
int on_set_call(struct pt_regs *ctx)
{
	struct arguments args = CALLED(ctx);

	return operation(SET, &args);
}

SEC("?kprobe")
int on_clear_call(struct pt_regs *ctx)
{
	struct arguments args = CALLED(ctx);

	return operation(CLEAR, &args);
}

SEC("?kprobe")
int on_convert_call(struct pt_regs *ctx)
{
	struct arguments args = CALLED(ctx);

	args.clear_bits = ctx->r9;
	return operation(CONVERT, &args);
}

SEC("?kprobe")
int on_alloc_call(struct pt_regs *ctx)
{
	return allocation(ctx->rsi);
}

SEC("?kprobe")
int on_free_call(struct pt_regs *ctx)
{
	return release(ctx->rsi);
}
#endif

/* Reading trees on demand: user space writes addresses, runs a program, and finds what stands there. */
#define BATCH 64	/* the verifier goes through each turn of the loops at each loading */

struct state_out {
	__u64 state;	/* address of the extent_state */
	__u64 left;	/* rb_node addresses */
	__u64 right;
	__u64 start;
	__u64 end;
	__u32 bits;
	__u32 refs;
};

struct tree_out {
	__u64 fsid;
	__u64 ino;
	__u64 root;
	__u64 node;	/* rb_node address of the root state */
	__u64 owner;
};

struct batch {
	__u64 count;
	__u64 address[BATCH];
	struct state_out states[BATCH];
	struct tree_out trees[BATCH];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct batch);
} batches SEC(".maps");

SEC("raw_tp")
int read_states(void *ctx)
{
	__u32 zero = 0;
	struct batch *batch = bpf_map_lookup_elem(&batches, &zero);

	if (!batch)
		return 1;
	for (int i = 0; i < BATCH; i++) {
		struct rb_node *node = (void *)batch->address[i];
		struct state_out *out = &batch->states[i];
		struct extent_state *state;

		if (i >= batch->count)
			break;
		state = (void *)node - bpf_core_field_offset(struct extent_state, rb_node);
		out->state = (__u64)state;
		out->left = (__u64)BPF_CORE_READ(node, rb_left);
		out->right = (__u64)BPF_CORE_READ(node, rb_right);
		out->start = BPF_CORE_READ(state, start);
		out->end = BPF_CORE_READ(state, end);
		out->bits = BPF_CORE_READ(state, state);
		out->refs = BPF_CORE_READ(state, refs.refs.counter);
	}
	return 0;
}

SEC("raw_tp")
int read_trees(void *ctx)
{
	__u32 zero = 0;
	struct batch *batch = bpf_map_lookup_elem(&batches, &zero);

	if (!batch)
		return 1;
	for (int i = 0; i < BATCH; i++) {
		struct extent_io_tree *tree = (void *)batch->address[i];
		struct tree_out *out = &batch->trees[i];
		struct tree_facts facts;

		if (i >= batch->count)
			break;
		describe_tree(tree, &facts);
		out->fsid = facts.fsid;
		out->ino = facts.ino;
		out->root = facts.root;
		out->owner = facts.owner;
		out->node = (__u64)BPF_CORE_READ(tree, state.rb_node);
	}
	return 0;
}
