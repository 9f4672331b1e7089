// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A table of records that fills up once. One lock gives them their order; what has no room is counted.
 */

#include <linux/ktime.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "module.h"

static struct iodiff_record *records;
static size_t capacity;
static size_t filled;
static u64 lost;
static DEFINE_RAW_SPINLOCK(order);

int iodiff_ring_make(size_t size)
{
	records = vmalloc(array_size(size, sizeof(*records)));
	capacity = records ? size : 0;
	return records ? 0 : -ENOMEM;
}

void iodiff_ring_free(void)
{
	vfree(records);
}

void iodiff_ring_clear(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&order, flags);
	filled = 0;
	lost = 0;
	raw_spin_unlock_irqrestore(&order, flags);
}

void iodiff_emit(const struct iodiff_record *record)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&order, flags);
	if (filled < capacity) {
		struct iodiff_record *slot = &records[filled++];

		*slot = *record;
		slot->time_ns = ktime_get_mono_fast_ns();
		slot->pid = current->pid;
		slot->cpu = raw_smp_processor_id();
	} else {
		lost++;
	}
	raw_spin_unlock_irqrestore(&order, flags);
}

ssize_t iodiff_ring_read(char __user *buffer, size_t length, loff_t *position)
{
	return simple_read_from_buffer(buffer, length, position, records, filled * sizeof(*records));
}

u64 iodiff_ring_recorded(void)
{
	return filled;
}

u64 iodiff_ring_lost(void)
{
	return lost;
}
