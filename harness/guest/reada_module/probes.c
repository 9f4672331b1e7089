// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kretprobes on the functions of fs/btrfs/reada.c that the compiler keeps: reada_find_zone, reada_find_extent and
 * reada_peer_zones_set_lock are part of their callers in Debian's kernel.
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
#define INSTANCES 256

struct call {
	unsigned long argument[4];
	struct iodiff_record record;
};

struct probe {
	struct kretprobe kretprobe;
	/* Whether the call is one to record; fills in the record of the entry. */
	bool (*entry)(struct call *call);
	void (*exit)(struct call *call, unsigned long value);
	u8 entry_kind;
	u8 exit_kind;	/* 0: the return is of no interest */
};

static struct btrfs_fs_info *traced;

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
	call->record.value = btrfs_header_generation(root->node);
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

/* int reada_start_machine_dev(dev); int reada_pick_zone(dev), with reada_lock held */
static bool dev_entry(struct call *call)
{
	struct btrfs_device *device = (void *)call->argument[0];

	if (device->fs_info != traced)
		return false;
	fill_device(&call->record, device);
	return true;
}

static void dev_exit(struct call *call, unsigned long value)
{
	fill_device(&call->record, (void *)call->argument[0]);
	call->record.value = (int)value;
}

#define ZONES_AT_A_TIME 16

/* All zones of a device that is about to pick one; reada_lock is held. */
static void emit_zones(struct btrfs_device *device)
{
	struct iodiff_record record = { .kind = IODIFF_ZONE, .devid = device->devid };
	void *zones[ZONES_AT_A_TIME];
	unsigned long first = 0;
	unsigned int found;
	unsigned int i;

	do {
		found = radix_tree_gang_lookup(&device->reada_zones, zones, first, ZONES_AT_A_TIME);
		for (i = 0; i < found; i++) {
			fill_zone(&record, zones[i]);
			iodiff_emit(&record);
			first = (record.end >> PAGE_SHIFT) + 1;
		}
	} while (found == ZONES_AT_A_TIME);
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

/* void reada_start_machine(fs_info) */
static bool machine_entry(struct call *call)
{
	return call->argument[0] == (unsigned long)traced;
}

/* void __readahead_hook(fs_info, re, eb, err) */
static bool hook_work_entry(struct call *call)
{
	struct extent_head *re = (void *)call->argument[1];

	call->record.logical = re->logical;
	call->record.err = (int)call->argument[3];
	return call->argument[0] == (unsigned long)traced;
}

/* int reada_add_block(rc, logical, top, generation) */
static bool block_entry(struct call *call)
{
	struct reada_control *rc = (void *)call->argument[0];

	call->record.rc = call->argument[0];
	call->record.logical = call->argument[1];
	call->record.value = call->argument[3];
	return rc->fs_info == traced;
}

/* void reada_extent_put(fs_info, re) */
static bool put_entry(struct call *call)
{
	struct extent_head *re = (void *)call->argument[1];

	call->record.logical = re->logical;
	return call->argument[0] == (unsigned long)traced;
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
	PROBE("btrfs_reada_detach", control_entry, NULL, IODIFF_DETACH, 0),
	PROBE("reada_start_machine_dev", dev_entry, dev_exit, IODIFF_DEV, IODIFF_DEV_RETURN),
	PROBE("reada_pick_zone", dev_entry, dev_exit, IODIFF_PICK, IODIFF_PICK_RETURN),
	PROBE("read_extent_buffer_pages", submit_entry, NULL, IODIFF_SUBMIT, 0),
	PROBE("btree_readahead_hook", hook_entry, value_exit, IODIFF_HOOK, IODIFF_HOOK_RETURN),
	PROBE("reada_start_machine_worker", worker_entry, no_value_exit, IODIFF_WORKER, IODIFF_WORKER_END),
	PROBE("reada_start_machine", machine_entry, NULL, IODIFF_MACHINE, 0),
	PROBE("__readahead_hook", hook_work_entry, no_value_exit, IODIFF_HOOK_WORK, IODIFF_HOOK_WORK_END),
	PROBE("reada_add_block", block_entry, value_exit, IODIFF_BLOCK, IODIFF_BLOCK_RETURN),
	PROBE("reada_extent_put", put_entry, NULL, IODIFF_PUT, 0),
};

/* A kretprobe that was registered cannot be used again as it is. */
static struct probe probes[ARRAY_SIZE(templates)];
static bool attached;
static u64 missed;

static struct probe *probe_of(struct kretprobe_instance *instance)
{
	return container_of(instance->rp, struct probe, kretprobe);
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
	call->record.kind = probe->entry_kind;
	iodiff_emit(&call->record);
	if (probe->entry_kind == IODIFF_PICK)
		emit_zones((void *)call->argument[0]);
	return !probe->exit_kind;
}

static int on_exit(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct probe *probe = probe_of(instance);
	struct call *call = (struct call *)instance->data;

	probe->exit(call, regs->ax);
	call->record.kind = probe->exit_kind;
	iodiff_emit(&call->record);
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
