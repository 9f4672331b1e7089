/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Structures of the kernel that direct_io.bpf.c reads, with the few members used; libbpf relocates them against the
 * running kernel's BTF (CO-RE).
 */
#define KERNEL __attribute__((preserve_access_index))

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

struct block_device {
	u32 bd_dev;
} KERNEL;

struct gendisk {
	int major;
	int first_minor;
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

/* The same before bios had a block device (up to 5.11). */
struct bio___of_disk {
	struct gendisk *bi_disk;
	u8 bi_partno;
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

typedef struct {
	unsigned long f;
} KERNEL memdesc_flags_t;

struct folio {
	memdesc_flags_t flags;
	struct address_space *mapping;
	unsigned long index;
	u32 _nr_pages;
} KERNEL;

/* What was put into the page cache before there were folios (up to 5.15). */
struct page {
	struct address_space *mapping;
	unsigned long index;
} KERNEL;

struct file {
	struct inode *f_inode;
} KERNEL;

struct kiocb {
	struct file *ki_filp;
	long long ki_pos;
	void *ki_complete;
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
	u32 flags;
} KERNEL;

struct btrfs_inode {
	struct inode vfs_inode;
} KERNEL;
