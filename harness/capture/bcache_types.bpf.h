/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Structures of bcache, with the few members used; libbpf relocates them against the running kernel's BTF. */
#define KERNEL __attribute__((preserve_access_index))

typedef struct {
	int counter;
} KERNEL atomic_t;

struct bkey {
	__u64 high;
	__u64 low;
	__u64 ptr[0];
} KERNEL;

struct bset {
	__u32 keys;
} KERNEL;

struct bset_tree {
	struct bset *data;
} KERNEL;

struct btree_keys {
	__u8 nsets;
	struct bset_tree set[4];
} KERNEL;

struct gc_stat {
	unsigned long nodes;
	unsigned long nodes_pre;
	unsigned long key_bytes;
	unsigned long nkeys;
	__u64 data;
} KERNEL;

struct bucket {
	atomic_t pin;
	__u8 gen;
	__u8 last_gc;
	__u16 gc_mark;
} KERNEL;

struct fifo {
	unsigned long front;
	unsigned long back;
	unsigned long size;
	unsigned long mask;
	void *data;
};

struct cache {
	struct bucket *buckets;
	struct fifo free[4];
} KERNEL;

struct btree;

struct cache_set {
	struct cache *cache;
	struct btree *root;
	atomic_t search_inflight;
	atomic_t bucket_wait_cnt;
} KERNEL;

struct btree {
	struct bkey key;
	struct cache_set *c;
	__u16 written;
	__u8 level;
	struct btree_keys keys;
} KERNEL;

struct gc_merge_info {
	struct btree *b;
	unsigned int keys;
} KERNEL;

struct bvec_iter {
	__u64 bi_sector;
	__u32 bi_size;
} KERNEL;

struct bio {
	struct bvec_iter bi_iter;
} KERNEL;

struct bbio {
	struct bio bio;
} KERNEL;

struct btree_op {
	short lock;
} KERNEL;

struct data_insert_op {
	unsigned int inode;
	__u16 flags;
} KERNEL;

struct search {
	struct bbio bio;
	struct btree_op op;
	struct data_insert_op iop;
} KERNEL;
