// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /dev/iodiff-reada: starts readaheads and walks on a mounted btrfs, and records what fs/btrfs/reada.c does.
 *
 * Made for tests of Linux 5.10 in a guest. Built against its private headers; see docs/readahead-guests.md.
 */

#include <linux/delay.h>
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "module.h"

static uint records = 1 << 20;
module_param(records, uint, 0444);
MODULE_PARM_DESC(records, "how many records there is room for");

/* So often it is looked whether the engine has nothing left to do, 20 ms apart. */
#define IDLE_TRIES 100

static DEFINE_MUTEX(tracing);
/* The file system that is traced must not go: its directory is kept open. */
static struct file *traced;

/* Returns the open file, to be put by the caller, and its file system. */
static struct file *btrfs_file(int fd, struct btrfs_fs_info **fs_info)
{
	struct file *file = fget(fd);

	if (!file)
		return ERR_PTR(-EBADF);
	if (file_inode(file)->i_sb->s_magic != BTRFS_SUPER_MAGIC) {
		fput(file);
		return ERR_PTR(-ENOTTY);
	}
	*fs_info = btrfs_sb(file_inode(file)->i_sb);
	return file;
}

/* Whether nothing was read ahead yet: a record that does not begin at nothing cannot be replayed. */
static int list_devices(struct btrfs_fs_info *fs_info, struct iodiff_trace *trace)
{
	struct btrfs_device *device;
	int ret = list_empty(&fs_info->fs_devices->seed_list) ? 0 : -EOPNOTSUPP;

	mutex_lock(&fs_info->fs_devices->device_list_mutex);
	trace->devices = 0;
	list_for_each_entry(device, &fs_info->fs_devices->devices, dev_list) {
		struct iodiff_device *out = &trace->device[trace->devices];

		if (++trace->devices > IODIFF_MAX_DEVICES) {
			ret = -E2BIG;
			break;
		}
		out->devid = device->devid;
		out->missing = !device->bdev;
		if (device->reada_curr_zone || !radix_tree_empty(&device->reada_zones))
			ret = -EBUSY;
	}
	mutex_unlock(&fs_info->fs_devices->device_list_mutex);
	if (!radix_tree_empty(&fs_info->reada_tree) || atomic_read(&fs_info->reada_works_cnt))
		ret = -EBUSY;
	return ret;
}

static long start(struct iodiff_trace *trace)
{
	struct btrfs_fs_info *fs_info;
	struct file *file = btrfs_file(trace->fd, &fs_info);
	long ret;

	if (IS_ERR(file))
		return PTR_ERR(file);
	mutex_lock(&tracing);
	ret = traced ? -EBUSY : list_devices(fs_info, trace);
	if (!ret) {
		iodiff_ring_clear();
		ret = iodiff_probes_attach(fs_info);
	}
	if (!ret)
		traced = file;
	mutex_unlock(&tracing);
	if (ret)
		fput(file);
	return ret;
}

/* A record that breaks off in the middle of a work shows less than one that ends with it. */
static void wait_until_idle(struct btrfs_fs_info *fs_info)
{
	int tries;

	for (tries = 0; tries < IDLE_TRIES; tries++) {
		if (!atomic_read(&fs_info->reada_works_cnt) && radix_tree_empty(&fs_info->reada_tree))
			break;
		msleep(20);
	}
}

static long stop(struct iodiff_counts *counts)
{
	mutex_lock(&tracing);
	if (traced)
		wait_until_idle(btrfs_sb(file_inode(traced)->i_sb));
	iodiff_probes_detach();
	if (traced)
		fput(traced);
	traced = NULL;
	counts->recorded = iodiff_ring_recorded();
	counts->lost_ring = iodiff_ring_lost();
	counts->lost_probe = iodiff_probes_missed();
	mutex_unlock(&tracing);
	return 0;
}

static long with_request(struct iodiff_request __user *user,
			 long (*function)(struct iodiff_request *, struct btrfs_fs_info *))
{
	struct iodiff_request request;
	struct btrfs_fs_info *fs_info;
	struct file *file;
	long ret;

	if (copy_from_user(&request, user, sizeof(request)))
		return -EFAULT;
	file = btrfs_file(request.fd, &fs_info);
	if (IS_ERR(file))
		return PTR_ERR(file);
	ret = function(&request, fs_info);
	fput(file);
	if (!ret && copy_to_user(user, &request, sizeof(request)))
		ret = -EFAULT;
	return ret;
}

static long with_trace(struct iodiff_trace __user *user)
{
	struct iodiff_trace *trace = memdup_user(user, sizeof(*trace));
	long ret;

	if (IS_ERR(trace))
		return PTR_ERR(trace);
	ret = start(trace);
	if (!ret && copy_to_user(user, trace, sizeof(*trace)))
		ret = -EFAULT;
	kfree(trace);
	return ret;
}

static long with_counts(struct iodiff_counts __user *user)
{
	struct iodiff_counts counts;
	long ret = stop(&counts);

	return !ret && copy_to_user(user, &counts, sizeof(counts)) ? -EFAULT : ret;
}

static long iodiff_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *user = (void __user *)argument;

	switch (command) {
	case IODIFF_START:
		return with_trace(user);
	case IODIFF_STOP:
		return with_counts(user);
	case IODIFF_ADD_READAHEAD:
		return with_request(user, iodiff_add);
	case IODIFF_WALK_TREE:
		return with_request(user, iodiff_walk);
	case IODIFF_WAIT_READAHEAD:
		return iodiff_wait(argument);
	case IODIFF_DETACH_READAHEAD:
		return iodiff_detach(argument);
	}
	return -ENOTTY;
}

static ssize_t iodiff_read(struct file *file, char __user *buffer, size_t length, loff_t *position)
{
	ssize_t ret;

	mutex_lock(&tracing);
	ret = traced ? -EBUSY : iodiff_ring_read(buffer, length, position);
	mutex_unlock(&tracing);
	return ret;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.read = iodiff_read,
	.llseek = default_llseek,
	.unlocked_ioctl = iodiff_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "iodiff-reada",
	.fops = &operations,
	.mode = 0600,
};

static int __init iodiff_init(void)
{
	int ret = iodiff_resolve();

	if (!ret)
		ret = iodiff_ring_make(records);
	if (ret)
		return ret;
	ret = misc_register(&device);
	if (ret)
		iodiff_ring_free();
	return ret;
}

static void __exit iodiff_exit(void)
{
	struct iodiff_counts counts;

	misc_deregister(&device);
	stop(&counts);
	iodiff_ring_free();
}

module_init(iodiff_init);
module_exit(iodiff_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Starts and records btrfs readaheads");
MODULE_SOFTDEP("pre: btrfs");
