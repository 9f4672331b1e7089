// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where Linux 5.10 keeps what the capture reads, for kernels whose btrfs module has no BTF (Debian's 5.10).
 *
 * Only the offsets matter. They are those of Debian's 5.10.262 on amd64, got by compiling offsetof() with the
 * headers of linux-headers-5.10.0-46-amd64 and linux-source-5.10's fs/btrfs: extent_state, extent_io_tree
 * (extent-io-tree.h), btrfs_inode (btrfs_inode.h), btrfs_root, btrfs_fs_info (ctree.h), btrfs_fs_devices,
 * btrfs_device (volumes.h). Other configurations have others (lock debugging, preemption): the capture compares
 * what it reads this way with what the kernel's own trace events say, and refuses its record where they differ.
 */

#define FIELD(offset, type, name) \
	struct { \
		char before_##name[offset]; \
		type name; \
	} __attribute__((packed))

typedef unsigned char __u8;
typedef unsigned int __u32;
typedef unsigned long long __u64;

struct rb_node {
	union {
		FIELD(8, struct rb_node *, rb_right);
		FIELD(16, struct rb_node *, rb_left);
	};
};

struct rb_root {
	struct rb_node *rb_node;
};

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	atomic_t refs;
} refcount_t;

struct btrfs_fs_devices {
	__u8 fsid[16];
};

struct btrfs_fs_info {
	union {
		FIELD(1688, struct btrfs_fs_devices *, fs_devices);
	};
};

struct btrfs_key {
	__u64 objectid;
};

struct btrfs_root {
	union {
		FIELD(479, struct btrfs_key, root_key);
		FIELD(496, struct btrfs_fs_info *, fs_info);
	};
};

struct inode {
	union {
		FIELD(64, unsigned long, i_ino);
	};
};

struct btrfs_inode {
	union {
		FIELD(0, struct btrfs_root *, root);
		FIELD(560, struct inode, vfs_inode);
	};
};

struct extent_state {
	union {
		FIELD(0, __u64, start);
		FIELD(8, __u64, end);
		FIELD(16, struct rb_node, rb_node);
		FIELD(64, refcount_t, refs);
		FIELD(68, __u32, state);
	};
};

struct extent_io_tree {
	union {
		FIELD(0, struct rb_root, state);
		FIELD(8, struct btrfs_fs_info *, fs_info);
		FIELD(16, void *, private_data);
		FIELD(33, __u8, owner);
	};
};

struct btrfs_device {
	union {
		FIELD(48, struct btrfs_fs_devices *, fs_devices);
		FIELD(336, struct extent_io_tree, alloc_state);
	};
};

/* The compiler describes only types that are used. */
struct extent_state state;
struct btrfs_inode inode;
struct btrfs_device device;
struct btrfs_root root;
struct btrfs_fs_info fs_info;
struct btrfs_fs_devices fs_devices;
