// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the module does at somebody's request: a readahead or a traditional walk of a tree's keys, as the
 * ioctl of the series did that brought fs/btrfs/reada.c.
 */

#include <linux/sched.h>
#include <linux/spinlock.h>

#include "module.h"

#define MAX_TASKS 64
#define MAX_HANDLES 1024

/* Who is in btrfs_reada_add for which request: the probe on it records the number. */
static struct {
	struct task_struct *task;
	u32 number;
} requesting[MAX_TASKS];
static DEFINE_RAW_SPINLOCK(requesting_lock);

/* Readaheads that were begun, by handle, until they are given back. */
static struct reada_control *begun[MAX_HANDLES];
static DEFINE_SPINLOCK(begun_lock);

static bool replace_request(struct task_struct *from, struct task_struct *to, u32 number)
{
	unsigned long flags;
	int i;

	raw_spin_lock_irqsave(&requesting_lock, flags);
	for (i = 0; i < MAX_TASKS && requesting[i].task != from; i++)
		;
	if (i < MAX_TASKS) {
		requesting[i].task = to;
		requesting[i].number = number;
	}
	raw_spin_unlock_irqrestore(&requesting_lock, flags);
	return i < MAX_TASKS;
}

u32 iodiff_request_of_current(void)
{
	unsigned long flags;
	u32 number = U32_MAX;
	int i;

	raw_spin_lock_irqsave(&requesting_lock, flags);
	for (i = 0; i < MAX_TASKS; i++)
		if (requesting[i].task == current)
			number = requesting[i].number;
	raw_spin_unlock_irqrestore(&requesting_lock, flags);
	return number;
}

/* Returns -1 when there is no room. */
static int keep(struct reada_control *rc)
{
	int i;

	spin_lock(&begun_lock);
	for (i = 0; i < MAX_HANDLES && begun[i]; i++)
		;
	if (i < MAX_HANDLES)
		begun[i] = rc;
	spin_unlock(&begun_lock);
	return i < MAX_HANDLES ? i : -1;
}

static struct reada_control *take(unsigned long handle)
{
	struct reada_control *rc = NULL;

	spin_lock(&begun_lock);
	if (handle < MAX_HANDLES)
		swap(rc, begun[handle]);
	spin_unlock(&begun_lock);
	return rc;
}

long iodiff_wait(unsigned long handle)
{
	struct reada_control *rc = take(handle);

	return rc ? iodiff_btrfs.reada_wait(rc) : -ENOENT;
}

long iodiff_detach(unsigned long handle)
{
	struct reada_control *rc = take(handle);

	if (!rc)
		return -ENOENT;
	iodiff_btrfs.reada_detach(rc);
	return 0;
}

static struct btrfs_key key_of(const struct iodiff_key *key)
{
	return (struct btrfs_key){ .objectid = key->objectid, .type = key->type, .offset = key->offset };
}

long iodiff_add(struct iodiff_request *request, struct btrfs_fs_info *fs_info)
{
	struct btrfs_key first = key_of(&request->first);
	struct btrfs_key last = key_of(&request->last);
	struct reada_control *rc;
	struct btrfs_root *root = iodiff_btrfs.get_fs_root(fs_info, request->tree, true);

	if (IS_ERR(root))
		return PTR_ERR(root);
	if (!replace_request(NULL, current, request->number)) {
		iodiff_btrfs.put_root(root);
		return -EBUSY;
	}
	rc = iodiff_btrfs.reada_add(root, &first, &last);
	replace_request(current, NULL, 0);
	iodiff_btrfs.put_root(root);
	request->result = PTR_ERR_OR_ZERO(rc);
	request->handle = request->result ? -1 : keep(rc);
	if (!request->result && request->handle < 0) {
		iodiff_btrfs.reada_detach(rc);
		return -EMFILE;
	}
	return 0;
}

static struct btrfs_key item_key(const struct extent_buffer *leaf, int slot)
{
	struct btrfs_disk_key disk;
	struct btrfs_key key;

	iodiff_btrfs.read_extent_buffer(leaf, &disk, btrfs_item_nr_offset(slot), sizeof(disk));
	btrfs_disk_key_to_cpu(&key, &disk);
	return key;
}

static s64 walk(struct btrfs_root *root, const struct iodiff_request *request, u64 *leaves)
{
	struct btrfs_key first = key_of(&request->first);
	struct btrfs_key last = key_of(&request->last);
	struct btrfs_path *path = iodiff_btrfs.alloc_path();
	struct btrfs_key key;
	int ret;

	if (!path)
		return -ENOMEM;
	ret = iodiff_btrfs.search_slot(NULL, root, &first, path, 0, 0);
	while (ret >= 0) {
		(*leaves)++;
		ret = iodiff_btrfs.next_leaf(root, path);
		if (ret)
			break;
		key = item_key(path->nodes[0], path->slots[0]);
		if (iodiff_btrfs.comp_cpu_keys(&key, &last) >= 0)
			break;
		if (fatal_signal_pending(current))
			ret = -EINTR;
	}
	iodiff_btrfs.free_path(path);
	return min(ret, 0);
}

long iodiff_walk(struct iodiff_request *request, struct btrfs_fs_info *fs_info)
{
	struct iodiff_record record = { .kind = IODIFF_WALK, .start = request->number };
	struct btrfs_root *root = iodiff_btrfs.get_fs_root(fs_info, request->tree, true);

	if (IS_ERR(root))
		return PTR_ERR(root);
	iodiff_emit(&record);
	request->leaves = 0;
	request->result = walk(root, request, &request->leaves);
	record.kind = IODIFF_WALK_END;
	iodiff_emit(&record);
	iodiff_btrfs.put_root(root);
	return 0;
}
