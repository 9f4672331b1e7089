// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kretprobes on the functions of fs/btrfs/reada.c that the compiler keeps, and on the radix trees, whose calls
 * with a tree of the engine stand for the parts that it inlines: find_zone, find_extent, the peers' locks.
 *
 * Each probe says what to record at entry and at return. What a return needs of the entry is kept in between.
 */

#include <linux/kprobes.h>
#include <linux/radix-tree.h>

#include "module.h"

/* The head of struct reada_zone and struct reada_extent (fs/btrfs/reada.c, 5.10), which are private there. */
struct zone_head {
	u64 start;
	u64 end;
	u64 elems;
	struct list_head list;
	spinlock_t lock;
	int locked;
};

struct extent_head {
	u64 logical;
};

/* How many calls of one function may be under way at a time; more are lost, and counted. */
#define INSTANCES 128

struct call {
	unsigned long argument[4];
	struct iodiff_record record;
};

struct probe {
	struct kretprobe kretprobe;
	/* Whether the call is one to record; fills in the record of the entry. */
	bool (*entry)(struct call *call);
	void (*exit)(struct call *call, unsigned long value);
	u8 entry_kind;	/* 0: nothing is recorded there */
	u8 exit_kind;
};

static struct btrfs_fs_info *traced;

static struct btrfs_device *device_of(const struct radix_tree_root *root, bool zones)
{
	struct btrfs_device *device;

	/* No device comes or goes while a case runs. */
	list_for_each_entry(device, &traced->fs_devices->devices, dev_list)
		if (root == (zones ? &device->reada_zones : &device->reada_extents))
			return device;
	return NULL;
}

static void fill_zone(struct iodiff_record *record, const struct zone_head *zone)
{
	record->start = zone->start;
	record->end = zone->end;
	record->locked = !!zone->locked;
	record->value = zone->elems;
}

/* Called with reada_lock held, or where nobody else can be in reada_start_machine_dev for the device. */
static void fill_device(struct iodiff_record *record, const struct btrfs_device *device)
{
	const struct zone_head *zone = (const struct zone_head *)READ_ONCE(device->reada_curr_zone);

	record->devid = device->devid;
	record->next = device->reada_next;
	record->start = record->end = record->locked = 0;
	if (zone) {
		fill_zone(record, zone);
		record->value = 0;
	}
}

/* reada_control *btrfs_reada_add(root, key_start, key_end) */
static bool add_entry(struct call *call)
{
	struct btrfs_root *root = (void *)call->argument[0];

	if (root->fs_info != traced)
		return false;
	call->record.logical = root->node->start;
	call->record.start = iodiff_request_of_current();
	return true;
}

static void add_exit(struct call *call, unsigned long value)
{
	bool failed = IS_ERR((void *)value);

	call->record.rc = failed ? 0 : value;
	call->record.value = failed ? (long)value : 0;
}

/* int btrfs_reada_wait(rc); void btrfs_reada_detach(rc) */
static bool control_entry(struct call *call)
{
	struct reada_control *rc = (void *)call->argument[0];

	call->record.rc = call->argument[0];
	return rc->fs_info == traced;
}

/* int reada_start_machine_dev(dev) */
static bool dev_entry(struct call *call)
{
	struct btrfs_device *device = (void *)call->argument[0];

	if (device->fs_info != traced)
		return false;
	fill_device(&call->record, device);
	return true;
}

/* Also int reada_pick_zone(dev) */
static void dev_exit(struct call *call, unsigned long value)
{
	fill_device(&call->record, (void *)call->argument[0]);
	call->record.value = (int)value;
}

/* int read_extent_buffer_pages(eb, wait, mirror_num) */
static bool submit_entry(struct call *call)
{
	struct extent_buffer *eb = (void *)call->argument[0];

	call->record.logical = eb->start;
	call->record.mirror = call->argument[2];
	return eb->fs_info == traced && call->argument[1] == WAIT_PAGE_LOCK;
}

/* int btree_readahead_hook(eb, err) */
static bool hook_entry(struct call *call)
{
	struct extent_buffer *eb = (void *)call->argument[0];

	call->record.logical = eb->start;
	call->record.err = (int)call->argument[1];
	return eb->fs_info == traced;
}

/* int, or nothing: what the function returns. */
static void value_exit(struct call *call, unsigned long value)
{
	call->record.value = (int)value;
}

static void no_value_exit(struct call *call, unsigned long value)
{
	call->record.value = 0;
}

/* void reada_start_machine_worker(work); which file system it is for, a private structure says */
static bool worker_entry(struct call *call)
{
	struct {
		struct btrfs_work work;
		struct btrfs_fs_info *fs_info;
	} *machine_work = (void *)call->argument[0];

	return machine_work->fs_info == traced;
}

/* void __readahead_hook(fs_info, re, eb, err) */
static bool inner_hook_entry(struct call *call)
{
	struct extent_head *re = (void *)call->argument[1];

	call->record.logical = re->logical;
	call->record.value = !!call->argument[2];
	call->record.err = (int)call->argument[3];
	return call->argument[0] == (unsigned long)traced;
}

/* int reada_add_block(rc, logical, top, generation) */
static bool add_block_entry(struct call *call)
{
	struct reada_control *rc = (void *)call->argument[0];

	call->record.rc = call->argument[0];
	call->record.logical = call->argument[1];
	call->record.start = call->argument[3];
	return rc->fs_info == traced;
}

/* void reada_extent_put(fs_info, re) */
static bool put_entry(struct call *call)
{
	struct extent_head *re = (void *)call->argument[1];

	call->record.logical = re->logical;
	return call->argument[0] == (unsigned long)traced;
}

/* void *radix_tree_lookup(root, index) */
static bool lookup_entry(struct call *call)
{
	struct radix_tree_root *root = (void *)call->argument[0];
	struct btrfs_device *device;

	if (root == &traced->reada_tree) {
		call->record.logical = call->argument[1] << PAGE_SHIFT;
		return true;
	}
	device = device_of(root, true);
	if (!device)
		return false;
	call->record.kind = IODIFF_PEER_LOOKUP;
	call->record.devid = device->devid;
	call->record.end = (call->argument[1] << PAGE_SHIFT) + PAGE_SIZE - 1;
	return true;
}

/* int radix_tree_insert(root, index, item) */
static bool insert_entry(struct call *call)
{
	struct radix_tree_root *root = (void *)call->argument[0];
	struct btrfs_device *device;

	if (root == &traced->reada_tree) {
		call->record.logical = call->argument[1] << PAGE_SHIFT;
		return true;
	}
	device = device_of(root, true);
	if (!device)
		return false;
	call->record.kind = IODIFF_ZONE_INSERT;
	call->record.devid = device->devid;
	fill_zone(&call->record, (void *)call->argument[2]);
	return true;
}

/* void *radix_tree_delete(root, index) */
static bool delete_entry(struct call *call)
{
	struct radix_tree_root *root = (void *)call->argument[0];
	struct btrfs_device *device;

	if (root == &traced->reada_tree) {
		call->record.logical = call->argument[1] << PAGE_SHIFT;
		return true;
	}
	device = device_of(root, true);
	if (!device)
		return false;
	call->record.kind = IODIFF_ZONE_DELETE;
	call->record.devid = device->devid;
	call->record.end = (call->argument[1] << PAGE_SHIFT) + PAGE_SIZE - 1;
	return true;
}

/* unsigned int radix_tree_gang_lookup(root, results, first_index, max_items) */
static bool gang_entry(struct call *call)
{
	struct radix_tree_root *root = (void *)call->argument[0];
	struct btrfs_device *device = device_of(root, true);

	if (!device) {
		device = device_of(root, false);
		call->record.kind = IODIFF_EXTENT_SEEN;
	}
	if (!device)
		return false;
	call->record.devid = device->devid;
	return true;
}

static void gang_exit(struct call *call, unsigned long value)
{
	void **results = (void **)call->argument[1];
	bool found = (unsigned int)value;

	if (call->record.kind == IODIFF_EXTENT_SEEN) {
		call->record.value = found;
		call->record.logical = found ? ((struct extent_head *)*results)->logical : 0;
	} else if (found) {
		fill_zone(&call->record, *results);
	} else {
		call->record.value = -1;
	}
}

static int on_entry(struct kretprobe_instance *instance, struct pt_regs *regs);
static int on_exit(struct kretprobe_instance *instance, struct pt_regs *regs);

#define PROBE(symbol, entry_function, exit_function, kind_of_entry, kind_of_exit) \
	{ \
		.kretprobe = { \
			.kp.symbol_name = symbol, \
			.entry_handler = on_entry, \
			.handler = on_exit, \
			.maxactive = INSTANCES, \
			.data_size = sizeof(struct call), \
		}, \
		.entry = entry_function, \
		.exit = exit_function, \
		.entry_kind = kind_of_entry, \
		.exit_kind = kind_of_exit, \
	}

static struct probe templates[] = {
	PROBE("btrfs_reada_add", add_entry, add_exit, IODIFF_ADD, IODIFF_ADD_RETURN),
	PROBE("btrfs_reada_wait", control_entry, value_exit, IODIFF_WAIT, IODIFF_WAIT_RETURN),
	PROBE("btrfs_reada_detach", control_entry, no_value_exit, IODIFF_DETACH, 0),
	PROBE("reada_start_machine_dev", dev_entry, dev_exit, IODIFF_DEV, IODIFF_DEV_RETURN),
	PROBE("reada_pick_zone", dev_entry, dev_exit, 0, IODIFF_PICK_ZONE),
	PROBE("read_extent_buffer_pages", submit_entry, no_value_exit, IODIFF_SUBMIT, 0),
	PROBE("btree_readahead_hook", hook_entry, value_exit, IODIFF_HOOK, IODIFF_HOOK_RETURN),
	PROBE("reada_start_machine_worker", worker_entry, no_value_exit, IODIFF_WORKER, IODIFF_WORKER_RETURN),
	PROBE("__readahead_hook", inner_hook_entry, no_value_exit, IODIFF_INNER_HOOK, IODIFF_INNER_HOOK_RETURN),
	PROBE("reada_add_block", add_block_entry, value_exit, IODIFF_ADD_BLOCK, IODIFF_ADD_BLOCK_RETURN),
	PROBE("reada_extent_put", put_entry, no_value_exit, IODIFF_PUT, IODIFF_PUT_RETURN),
	PROBE("radix_tree_lookup", lookup_entry, no_value_exit, IODIFF_TREE_LOOKUP, 0),
	PROBE("radix_tree_insert", insert_entry, value_exit, 0, IODIFF_TREE_INSERT),
	PROBE("radix_tree_delete", delete_entry, no_value_exit, IODIFF_TREE_DELETE, 0),
	PROBE("radix_tree_gang_lookup", gang_entry, gang_exit, 0, IODIFF_ZONE_SEEN),
};

/* A kretprobe that was registered cannot be used again as it is. */
static struct probe probes[ARRAY_SIZE(templates)];
static bool attached;
static u64 missed;

static struct probe *probe_of(struct kretprobe_instance *instance)
{
	return container_of(instance->rp, struct probe, kretprobe);
}

static void emit(struct call *call, u8 kind)
{
	u8 special = call->record.kind;

	if (kind) {
		if (!special)
			call->record.kind = kind;
		iodiff_emit(&call->record);
		call->record.kind = special;
	}
}

/* Returns 1 for a call whose return is of no interest. */
static int on_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct probe *probe = probe_of(instance);
	struct call *call = (struct call *)instance->data;

	memset(call, 0, sizeof(*call));
	call->argument[0] = regs->di;
	call->argument[1] = regs->si;
	call->argument[2] = regs->dx;
	call->argument[3] = regs->cx;
	if (!probe->entry(call))
		return 1;
	emit(call, probe->entry_kind);
	return !probe->exit_kind;
}

static int on_exit(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct probe *probe = probe_of(instance);
	struct call *call = (struct call *)instance->data;

	probe->exit(call, regs->ax);
	emit(call, probe->exit_kind);
	return 0;
}

int iodiff_probes_attach(struct btrfs_fs_info *fs_info)
{
	size_t i;

	traced = fs_info;
	missed = 0;
	memcpy(probes, templates, sizeof(probes));
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		int ret = register_kretprobe(&probes[i].kretprobe);

		if (ret) {
			pr_err("iodiff_reada: no probe on %s (%d)\n", probes[i].kretprobe.kp.symbol_name, ret);
			while (i--)
				unregister_kretprobe(&probes[i].kretprobe);
			return ret;
		}
	}
	attached = true;
	return 0;
}

void iodiff_probes_detach(void)
{
	size_t i;

	if (!attached)
		return;
	attached = false;
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		unregister_kretprobe(&probes[i].kretprobe);
		missed += probes[i].kretprobe.nmissed + probes[i].kretprobe.kp.nmissed;
	}
}

u64 iodiff_probes_missed(void)
{
	return missed;
}
