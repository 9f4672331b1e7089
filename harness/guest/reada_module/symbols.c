// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * btrfs exports nothing, and a module may not ask kallsyms: a kprobe that is registered and removed again
 * tells where its symbol is.
 */

#include <linux/kprobes.h>

#include "module.h"

struct iodiff_symbols iodiff_btrfs;

static const struct {
	const char *name;
	void **place;
} wanted[] = {
	{ "btrfs_reada_add", (void **)&iodiff_btrfs.reada_add },
	{ "btrfs_reada_wait", (void **)&iodiff_btrfs.reada_wait },
	{ "btrfs_reada_detach", (void **)&iodiff_btrfs.reada_detach },
	{ "btrfs_get_fs_root", (void **)&iodiff_btrfs.get_fs_root },
	{ "btrfs_put_root", (void **)&iodiff_btrfs.put_root },
	{ "btrfs_alloc_path", (void **)&iodiff_btrfs.alloc_path },
	{ "btrfs_free_path", (void **)&iodiff_btrfs.free_path },
	{ "btrfs_search_slot", (void **)&iodiff_btrfs.search_slot },
	{ "btrfs_next_leaf", (void **)&iodiff_btrfs.next_leaf },
	{ "read_extent_buffer", (void **)&iodiff_btrfs.read_extent_buffer },
	{ "btrfs_comp_cpu_keys", (void **)&iodiff_btrfs.comp_cpu_keys },
};

static int resolve(const char *name, void **place)
{
	struct kprobe probe = { .symbol_name = name };
	int ret = register_kprobe(&probe);

	if (ret) {
		pr_err("iodiff_reada: this kernel has no %s (%d)\n", name, ret);
		return ret;
	}
	*place = probe.addr;
	unregister_kprobe(&probe);
	return 0;
}

int iodiff_resolve(void)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < ARRAY_SIZE(wanted) && !ret; i++)
		ret = resolve(wanted[i].name, wanted[i].place);
	return ret;
}
