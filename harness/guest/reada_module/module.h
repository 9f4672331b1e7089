/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the module want of each other. */

#ifndef IODIFF_READA_MODULE_H
#define IODIFF_READA_MODULE_H

#include "interface.h"

#include "ctree.h"
#include "disk-io.h"
#include "volumes.h"

/* ring.c */
int iodiff_ring_make(size_t records);
void iodiff_ring_free(void);
void iodiff_ring_clear(void);
void iodiff_emit(const struct iodiff_record *record);
ssize_t iodiff_ring_read(char __user *buffer, size_t length, loff_t *position);
u64 iodiff_ring_recorded(void);
u64 iodiff_ring_lost(void);

/* symbols.c */
int iodiff_resolve(void);

struct iodiff_symbols {
	struct reada_control *(*reada_add)(struct btrfs_root *, struct btrfs_key *, struct btrfs_key *);
	int (*reada_wait)(void *);
	void (*reada_detach)(void *);
	struct btrfs_root *(*get_fs_root)(struct btrfs_fs_info *, u64, bool);
	void (*put_root)(struct btrfs_root *);
	struct btrfs_path *(*alloc_path)(void);
	void (*free_path)(struct btrfs_path *);
	int (*search_slot)(struct btrfs_trans_handle *, struct btrfs_root *, const struct btrfs_key *,
			   struct btrfs_path *, int, int);
	int (*next_leaf)(struct btrfs_root *, struct btrfs_path *);
	void (*read_extent_buffer)(const struct extent_buffer *, void *, unsigned long, unsigned long);
	int (*comp_cpu_keys)(const struct btrfs_key *, const struct btrfs_key *);
};
extern struct iodiff_symbols iodiff_btrfs;

/* probes.c */
int iodiff_probes_attach(struct btrfs_fs_info *fs_info);
void iodiff_probes_detach(void);
u64 iodiff_probes_missed(void);

/* requests.c */
long iodiff_add(struct iodiff_request *request, struct btrfs_fs_info *fs_info);
long iodiff_wait(unsigned long handle);
long iodiff_detach(unsigned long handle);
long iodiff_walk(struct iodiff_request *request, struct btrfs_fs_info *fs_info);
u32 iodiff_request_of_current(void);

#endif
