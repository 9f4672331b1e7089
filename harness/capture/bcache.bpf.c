// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records what bcache does to its btree and its buckets: keys with what became of them, nodes that are made,
 * sorted, written, replaced, freed; gens of buckets; garbage collection.
 *
 * Kprobes only: nothing can come between a program and what it tells of, as happens at tracepoints that can
 * be preempted (from 7.0 on). Whatever concerns one node is recorded under its lock, so the order of the ring
 * is the order of the steps. harness/bcache/record.py says what each kind of event holds.
 */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

#include "bcache_types.bpf.h"

/* harness/bcache/record.py has the same. */
enum kind {
	INSERT = 1, SORT_INTO, SORTED_INTO, INIT_NEXT, NEW_SET, WRITE, READ, FREE, SET_ROOT, SPLIT,
	INVALIDATE, INC_GEN, GC_START, GC_MARK, GC_COALESCE, GC_COALESCED, GC_PAUSE, GC_FINISH, GC_STATS,
	PRIO_WRITE, PRIO_WRITTEN, LOOKUP
};

struct event {
	__u64 time_ns;
	__u64 node;	/* first pointer of the node's key */
	__u64 key[3];
	__u64 old[3];
	__u32 pid;
	__u32 words;	/* of keys in the node's last set, 8 bytes each */
	__u32 value;
	__u16 written;	/* blocks of the node */
	__u8 kind;
	__u8 level;
	__u8 nsets;
	__u8 status;
	__u16 reserve;	/* buckets in the reserve for nodes */
	__u32 unused;	/* a record is a multiple of 8 bytes */
};

enum counter { RECORDED, LOST_RING, LOST_TASK, LONG_KEYS, COUNTERS };

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 26);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* What a task's function was called with, until it returns. */
struct call {
	struct btree_keys *keys;
	struct event event;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct call);
} calls SEC(".maps");

/* The task that collects garbage, and its set. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} collectors SEC(".maps");

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		*value += 1;
}

static __always_inline __u32 task(void)
{
	return (__u32)bpf_get_current_pid_tgid();
}

static __always_inline void submit(struct event *event)
{
	event->time_ns = bpf_ktime_get_ns();
	event->pid = task();
	if (bpf_ringbuf_output(&events, event, sizeof(*event), BPF_RB_NO_WAKEUP))
		count(LOST_RING);
	else
		count(RECORDED);
}

static __always_inline struct btree *node_of(struct btree_keys *keys)
{
	return (void *)keys - bpf_core_field_offset(struct btree, keys);
}

static __always_inline __u64 first_ptr(struct btree *b)
{
	__u64 ptr = 0;

	if (b)
		bpf_probe_read_kernel(&ptr, sizeof(ptr), (void *)b + bpf_core_field_offset(struct btree, key) +
				      bpf_core_field_offset(struct bkey, ptr));
	return ptr;
}

/* Words of keys in a set of a node. */
static __always_inline __u32 set_words(struct btree_keys *keys, __u32 number)
{
	struct bset_tree *set = (void *)keys + bpf_core_field_offset(struct btree_keys, set) +
				number * bpf_core_type_size(struct bset_tree);
	struct bset *data = BPF_CORE_READ(set, data);

	return BPF_CORE_READ(data, keys);
}

static __always_inline void describe(struct event *event, __u8 kind, struct btree *b)
{
	struct btree_keys *keys = (void *)b + bpf_core_field_offset(struct btree, keys);

	event->kind = kind;
	event->node = first_ptr(b);
	event->level = BPF_CORE_READ(b, level);
	event->written = BPF_CORE_READ(b, written);
	event->nsets = BPF_CORE_READ(keys, nsets);
	event->words = set_words(keys, event->nsets);
}

static __always_inline int node_event(__u8 kind, struct btree *b)
{
	struct event event = {};

	describe(&event, kind, b);
	submit(&event);
	return 0;
}

static __always_inline void copy_key(__u64 *to, struct bkey *k)
{
	to[0] = BPF_CORE_READ(k, high);
	to[1] = BPF_CORE_READ(k, low);
	if (to[0] >> 60 & 7)
		bpf_probe_read_kernel(&to[2], sizeof(to[2]), (void *)k + bpf_core_field_offset(struct bkey, ptr));
	if ((to[0] >> 60 & 7) > 1)
		count(LONG_KEYS);
}

/* Buckets in the reserve for nodes: RESERVE_BTREE is the first. */
static __always_inline __u16 btree_reserve(struct cache_set *c)
{
	struct cache *ca = BPF_CORE_READ(c, cache);
	struct fifo fifo = {};

	bpf_probe_read_kernel(&fifo, sizeof(fifo), (void *)ca + bpf_core_field_offset(struct cache, free));
	return (fifo.back - fifo.front) & fifo.mask;
}

/* bch_btree_insert_key(b, k, replace_key) */
SEC("kprobe")
int on_insert(struct pt_regs *ctx)
{
	struct call call = { .keys = (void *)PT_REGS_PARM1(ctx) };
	struct bkey *replace_key = (void *)PT_REGS_PARM3(ctx);
	__u32 pid = task();

	copy_key(call.event.key, (void *)PT_REGS_PARM2(ctx));
	if (replace_key) {
		copy_key(call.event.old, replace_key);
		call.event.value = 1;
	}
	if (bpf_map_update_elem(&calls, &pid, &call, BPF_ANY))
		count(LOST_TASK);
	return 0;
}

SEC("kretprobe")
int on_inserted(struct pt_regs *ctx)
{
	__u32 pid = task();
	struct call *call = bpf_map_lookup_elem(&calls, &pid);
	struct event event;

	if (!call) {
		count(LOST_TASK);
		return 0;
	}
	event = call->event;
	describe(&event, INSERT, node_of(call->keys));
	event.status = PT_REGS_RC(ctx);
	bpf_map_delete_elem(&calls, &pid);
	submit(&event);
	return 0;
}

/* bch_btree_sort_into(b, new, state) */
SEC("kprobe")
int on_sort_into(struct pt_regs *ctx)
{
	struct btree_keys *new = (void *)PT_REGS_PARM2(ctx);
	struct call call = { .keys = new };
	__u32 pid = task();

	describe(&call.event, SORT_INTO, node_of((void *)PT_REGS_PARM1(ctx)));
	call.event.key[0] = first_ptr(node_of(new));
	if (bpf_map_update_elem(&calls, &pid, &call, BPF_ANY))
		count(LOST_TASK);
	submit(&call.event);
	return 0;
}

SEC("kretprobe")
int on_sorted_into(struct pt_regs *ctx)
{
	__u32 pid = task();
	struct call *call = bpf_map_lookup_elem(&calls, &pid);
	struct event event = {};

	if (!call) {
		count(LOST_TASK);
		return 0;
	}
	describe(&event, SORTED_INTO, node_of(call->keys));
	bpf_map_delete_elem(&calls, &pid);
	submit(&event);
	return 0;
}

/* bch_btree_init_next(b) */
SEC("kprobe")
int on_init_next(struct pt_regs *ctx)
{
	return node_event(INIT_NEXT, (void *)PT_REGS_PARM1(ctx));
}

/* bch_bset_init_next(b, i, magic) */
SEC("kprobe")
int on_new_set(struct pt_regs *ctx)
{
	struct btree_keys *keys = (void *)PT_REGS_PARM1(ctx);
	struct bset *first = BPF_CORE_READ(keys, set[0].data);
	struct event event = {};

	describe(&event, NEW_SET, node_of(keys));
	event.value = PT_REGS_PARM2(ctx) - (__u64)first;
	submit(&event);
	return 0;
}

/* __bch_btree_node_write(b, parent) */
SEC("kprobe")
int on_write(struct pt_regs *ctx)
{
	return node_event(WRITE, (void *)PT_REGS_PARM1(ctx));
}

/* bch_btree_node_read(b) */
SEC("kprobe")
int on_read(struct pt_regs *ctx)
{
	struct event event = {};
	struct btree *b = (void *)PT_REGS_PARM1(ctx);

	event.kind = READ;
	event.node = first_ptr(b);
	event.level = BPF_CORE_READ(b, level);
	submit(&event);
	return 0;
}

/* btree_node_free(b) */
SEC("kprobe")
int on_free(struct pt_regs *ctx)
{
	return node_event(FREE, (void *)PT_REGS_PARM1(ctx));
}

/* bch_btree_set_root(b) */
SEC("kprobe")
int on_set_root(struct pt_regs *ctx)
{
	return node_event(SET_ROOT, (void *)PT_REGS_PARM1(ctx));
}

/* btree_split(b, op, insert_keys, replace_key) */
SEC("kprobe")
int on_split(struct pt_regs *ctx)
{
	struct btree *b = (void *)PT_REGS_PARM1(ctx);
	struct event event = {};

	describe(&event, SPLIT, b);
	event.reserve = btree_reserve(BPF_CORE_READ(b, c));
	submit(&event);
	return 0;
}

static __always_inline int bucket_event(__u8 kind, struct cache *ca, struct bucket *b)
{
	struct event event = { .kind = kind };

	event.value = ((__u64)b - (__u64)BPF_CORE_READ(ca, buckets)) / (__u64)bpf_core_type_size(struct bucket);
	event.status = BPF_CORE_READ(b, gen) + 1;
	event.key[0] = BPF_CORE_READ(b, gc_mark);
	event.key[1] = BPF_CORE_READ(b, pin.counter);
	event.key[2] = BPF_CORE_READ(b, last_gc);
	submit(&event);
	return 0;
}

/* __bch_invalidate_one_bucket(ca, b) */
SEC("kprobe")
int on_invalidate(struct pt_regs *ctx)
{
	return bucket_event(INVALIDATE, (void *)PT_REGS_PARM1(ctx), (void *)PT_REGS_PARM2(ctx));
}

/* bch_inc_gen(ca, b) */
SEC("kprobe")
int on_inc_gen(struct pt_regs *ctx)
{
	return bucket_event(INC_GEN, (void *)PT_REGS_PARM1(ctx), (void *)PT_REGS_PARM2(ctx));
}

/* bch_btree_gc(c) */
SEC("kprobe")
int on_gc_start(struct pt_regs *ctx)
{
	struct event event = { .kind = GC_START };
	__u64 c = PT_REGS_PARM1(ctx);
	__u32 pid = task();

	event.key[0] = bpf_jiffies64();
	if (bpf_map_update_elem(&collectors, &pid, &c, BPF_ANY))
		count(LOST_TASK);
	submit(&event);
	return 0;
}

/* btree_gc_mark_node(b, gc) */
SEC("kprobe")
int on_gc_mark(struct pt_regs *ctx)
{
	struct btree *b = (void *)PT_REGS_PARM1(ctx);
	struct gc_stat *gc = (void *)PT_REGS_PARM2(ctx);
	struct event event = {};

	describe(&event, GC_MARK, b);
	event.key[0] = BPF_CORE_READ(gc, nodes);
	event.key[1] = BPF_CORE_READ(gc, nodes_pre);
	event.key[2] = BPF_CORE_READ(gc, nkeys);
	event.old[0] = BPF_CORE_READ(gc, key_bytes);
	event.old[1] = BPF_CORE_READ(gc, data);
	event.value = BPF_CORE_READ(b, c, search_inflight.counter);
	event.reserve = btree_reserve(BPF_CORE_READ(b, c));
	submit(&event);
	return 0;
}

/* btree_gc_coalesce(b, op, gc, r) */
SEC("kprobe")
int on_gc_coalesce(struct pt_regs *ctx)
{
	struct btree *b = (void *)PT_REGS_PARM1(ctx);
	void *r = (void *)PT_REGS_PARM4(ctx);
	struct event event = {};
	__u64 nodes[4] = {};
	__u32 words[4] = {};

	for (int i = 0; i < 4; i++) {
		struct gc_merge_info *merge = r + i * bpf_core_type_size(struct gc_merge_info);
		struct btree *node = BPF_CORE_READ(merge, b);

		/* The end of a window that is not full: NULL, or an error. */
		if (!node || (__u64)node >= (__u64)-4095)
			break;
		nodes[i] = first_ptr(node);
		words[i] = BPF_CORE_READ(merge, keys);
	}
	describe(&event, GC_COALESCE, b);
	event.key[0] = nodes[0];
	event.key[1] = nodes[1];
	event.key[2] = nodes[2];
	event.old[0] = nodes[3];
	event.old[1] = words[0] | (__u64)words[1] << 32;
	event.old[2] = words[2] | (__u64)words[3] << 32;
	event.reserve = btree_reserve(BPF_CORE_READ(b, c));
	event.value = BPF_CORE_READ(b, c, root, level);
	submit(&event);
	return 0;
}

SEC("kretprobe")
int on_gc_coalesced(struct pt_regs *ctx)
{
	struct event event = { .kind = GC_COALESCED };

	event.value = PT_REGS_RC(ctx);
	submit(&event);
	return 0;
}

/* schedule_timeout_interruptible(timeout), of those who collect garbage */
SEC("kprobe")
int on_pause(struct pt_regs *ctx)
{
	__u32 pid = task();
	__u64 *c = bpf_map_lookup_elem(&collectors, &pid);
	struct event event = { .kind = GC_PAUSE };
	struct cache_set *set;

	if (!c)
		return 0;
	set = (void *)*c;
	event.value = PT_REGS_PARM1(ctx);
	event.key[0] = bpf_jiffies64();
	event.key[1] = BPF_CORE_READ(set, search_inflight.counter);
	if (bpf_core_field_exists(set->bucket_wait_cnt))
		event.key[2] = BPF_CORE_READ(set, bucket_wait_cnt.counter);
	submit(&event);
	return 0;
}

/* bch_btree_gc_finish(c) */
SEC("kprobe")
int on_gc_finish(struct pt_regs *ctx)
{
	struct event event = { .kind = GC_FINISH };

	event.key[0] = bpf_jiffies64();
	submit(&event);
	return 0;
}

/* bch_update_bucket_in_use(c, stats): at the end of a garbage collection */
SEC("kprobe")
int on_gc_stats(struct pt_regs *ctx)
{
	struct gc_stat *stats = (void *)PT_REGS_PARM2(ctx);
	struct event event = { .kind = GC_STATS };
	__u32 pid = task();

	/* Others ask for the share of buckets in use only. */
	if (!bpf_map_lookup_elem(&collectors, &pid))
		return 0;
	event.key[0] = BPF_CORE_READ(stats, nodes);
	event.key[1] = BPF_CORE_READ(stats, key_bytes);
	event.key[2] = BPF_CORE_READ(stats, nkeys);
	event.old[0] = BPF_CORE_READ(stats, data);
	submit(&event);
	return 0;
}

/* bch_prio_write(ca, wait) */
SEC("kprobe")
int on_prio_write(struct pt_regs *ctx)
{
	struct event event = { .kind = PRIO_WRITE };

	submit(&event);
	return 0;
}

SEC("kretprobe")
int on_prio_written(struct pt_regs *ctx)
{
	struct event event = { .kind = PRIO_WRITTEN };

	event.value = PT_REGS_RC(ctx);
	submit(&event);
	return 0;
}

/* cache_lookup_fn(op, b, k): what a read finds */
SEC("kprobe")
int on_lookup(struct pt_regs *ctx)
{
	struct search *s = (void *)PT_REGS_PARM1(ctx) - bpf_core_field_offset(struct search, op);
	struct event event = {};

	describe(&event, LOOKUP, (void *)PT_REGS_PARM2(ctx));
	copy_key(event.key, (void *)PT_REGS_PARM3(ctx));
	event.old[0] = BPF_CORE_READ(s, bio.bio.bi_iter.bi_sector);
	event.old[1] = BPF_CORE_READ(s, bio.bio.bi_iter.bi_size);
	event.value = BPF_CORE_READ(s, iop.inode);
	/* bypass is the first of the flags. */
	event.status = BPF_CORE_READ(s, iop.flags) & 1;
	submit(&event);
	return 0;
}
