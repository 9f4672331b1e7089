/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Structures of the kernel, with the few members used; libbpf relocates them against the running kernel's BTF
 * (CO-RE), or against one of layouts/.
 */
#define KERNEL __attribute__((preserve_access_index))

struct rb_node {
	struct rb_node *rb_right;
	struct rb_node *rb_left;
} KERNEL;

struct rb_root {
	struct rb_node *rb_node;
} KERNEL;

typedef struct {
	int counter;
} KERNEL atomic_t;

typedef struct {
	atomic_t refs;
} KERNEL refcount_t;

struct extent_state {
	__u64 start;
	__u64 end;
	struct rb_node rb_node;
	refcount_t refs;
	__u32 state;
} KERNEL;

struct btrfs_fs_devices {
	__u8 fsid[16];
} KERNEL;

struct btrfs_fs_info {
	struct btrfs_fs_devices *fs_devices;
} KERNEL;

struct btrfs_key {
	__u64 objectid;
} KERNEL;

struct btrfs_root {
	struct btrfs_fs_info *fs_info;
	struct btrfs_key root_key;
} KERNEL;

struct inode {
	unsigned long i_ino;
} KERNEL;

struct btrfs_inode;

struct extent_io_tree {
	struct rb_root state;
	union {
		struct btrfs_fs_info *fs_info;
		struct btrfs_inode *inode;
	};
	__u8 owner;
} KERNEL;

/* The same where the inode stands beside fs_info, as the VFS's (up to 6.7). */
struct extent_io_tree___private_data {
	struct btrfs_fs_info *fs_info;
	void *private_data;
} KERNEL;

struct btrfs_inode {
	struct btrfs_root *root;
	struct inode vfs_inode;
} KERNEL;

struct btrfs_device {
	struct btrfs_fs_devices *fs_devices;
	struct extent_io_tree alloc_state;
} KERNEL;
