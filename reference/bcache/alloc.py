# SPDX-License-Identifier: GPL-2.0-or-later
"""Buckets: how they are invalidated, written about, handed out and freed (alloc.c, super.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reference.bcache.bkey import Bkey, key
from reference.bcache.geometry import BUCKET_GC_GEN_MAX
from reference.bcache.heap import Heap
from reference.bcache.structs import (
    BTREE_PRIO,
    INITIAL_PRIO,
    MAX_GC_SECTORS_USED,
    Bucket,
    CacheSet,
    GcMark,
    Replacement,
    Reserve,
)

__all__ = [
    "Allocator",
    "bch_bucket_alloc",
    "bch_bucket_alloc_set",
    "bch_bucket_free",
    "bch_can_invalidate_bucket",
    "bch_inc_gen",
    "bch_prio_write",
    "bch_rescale_priorities",
    "invalidate_one_bucket",
]


def bch_inc_gen(c: CacheSet, b: Bucket) -> int:
    """Make all pointers into a bucket stale; returns its new gen."""
    b.gen = b.gen + 1 & 0xFF
    c.need_gc = max(c.need_gc, b.gc_gen)
    return b.gen


def bch_rescale_priorities(c: CacheSet) -> None:
    """Let all prios sink by one; the kernel does it for each 1024th part of the cache that is written."""
    c.min_prio = 0xFFFF
    for b in c.cache.each_bucket():
        if b.prio and b.prio != BTREE_PRIO and not b.pin:
            b.prio -= 1
            c.min_prio = min(c.min_prio, b.prio)


def bch_can_invalidate_bucket(c: CacheSet, b: Bucket) -> bool:
    """Whether a bucket may be reused: nothing in it is needed, and its gen is not about to wrap around."""
    return (
        (c.gc_mark_valid or b.reclaimable_in_gc)
        and b.gc_mark in (GcMark.NONE, GcMark.RECLAIMABLE)
        and not b.pin
        and b.gc_gen < BUCKET_GC_GEN_MAX
    )


def invalidate_one_bucket(c: CacheSet, b: Bucket) -> None:
    """`__bch_invalidate_one_bucket`."""
    assert b.gc_mark in (GcMark.NONE, GcMark.RECLAIMABLE), f"bucket {b.number} is in use"
    bch_inc_gen(c, b)
    b.prio = INITIAL_PRIO
    b.pin += 1
    b.reclaimable_in_gc = False


def _invalidate(c: CacheSet, b: Bucket) -> None:
    invalidate_one_bucket(c, b)
    c.cache.free_inc.push(b.number)


def _bucket_prio(c: CacheSet) -> Callable[[Bucket], int]:
    """`bucket_prio`: what a bucket is worth, by its prio and by how much is in it."""
    offset = (INITIAL_PRIO - c.min_prio) // 8 - c.min_prio
    return lambda b: (b.prio + offset) * b.gc_sectors_used


def invalidate_buckets_lru(c: CacheSet) -> bool:
    """Reuse the buckets that are worth least; False when there are too few."""
    ca, worth = c.cache, _bucket_prio(c)
    heap: Heap[Bucket] = Heap(ca.heap_size, [])

    def max_cmp(left: Bucket, right: Bucket) -> bool:
        return worth(left) < worth(right)

    def min_cmp(left: Bucket, right: Bucket) -> bool:
        return worth(left) > worth(right)

    for b in ca.each_bucket():
        if not bch_can_invalidate_bucket(c, b):
            continue
        if not heap.full:
            heap.add(b, max_cmp)
        elif max_cmp(b, heap.data[0]):
            heap.data[0] = b
            heap.sift(0, max_cmp)
    for i in reversed(range(len(heap.data) // 2)):
        heap.sift(i, min_cmp)
    while not ca.free_inc.full:
        if (least := heap.pop(min_cmp)) is None:
            return False
        _invalidate(c, least)
    return True


def invalidate_buckets_fifo(c: CacheSet) -> bool:
    """Reuse buckets one after the other; False when there are too few."""
    ca, geometry = c.cache, c.geometry
    checked = 0
    while not ca.free_inc.full:
        if not geometry.first_bucket <= ca.fifo_last_bucket < geometry.nbuckets:
            ca.fifo_last_bucket = geometry.first_bucket
        b = ca.buckets[ca.fifo_last_bucket]
        ca.fifo_last_bucket += 1
        if bch_can_invalidate_bucket(c, b):
            _invalidate(c, b)
        checked += 1
        if checked >= geometry.nbuckets:
            return False
    return True


def invalidate_buckets_random(c: CacheSet, choose: Callable[[int], int]) -> bool:
    """Reuse buckets at random, which `choose` does below a number; False when there are too few."""
    ca, geometry = c.cache, c.geometry
    checked = 0
    while not ca.free_inc.full:
        b = ca.buckets[choose(geometry.nbuckets - geometry.first_bucket) + geometry.first_bucket]
        if bch_can_invalidate_bucket(c, b):
            _invalidate(c, b)
        checked += 1
        if checked >= geometry.nbuckets // 2:
            return False
    return True


class Allocator:
    """`bch_allocator_thread`: fills the reserves. It runs when it is told to, until it has to wait."""

    def __init__(self, c: CacheSet, choose: Callable[[int], int] = lambda _below: 0) -> None:
        """`choose` is where random numbers come from, for the random policy alone."""
        self.c = c
        self._choose = choose
        self._thread = self._run()

    def run(self) -> None:
        """Let the thread go on until it waits."""
        next(self._thread)

    def _run(self) -> Iterator[None]:
        c, ca = self.c, self.c.cache
        while True:
            while ca.free_inc:
                bucket = ca.free_inc.popleft()
                while not self._push(bucket):
                    yield
            while True:
                while ca.invalidate_needs_gc:
                    yield
                if not self._invalidate_buckets():
                    ca.invalidate_needs_gc = True
                while c.prio_blocked:
                    yield
                if ca.free_inc.full or not c.sync:
                    break
            if c.sync and not bch_prio_write(c):
                ca.invalidate_needs_gc = True

    def _push(self, bucket: int) -> bool:
        """`bch_allocator_push`: prios first."""
        free = self.c.cache.free
        return free[Reserve.PRIO].push(bucket) or any(free[reserve].push(bucket) for reserve in Reserve)

    def _invalidate_buckets(self) -> bool:
        match self.c.cache.replacement:
            case Replacement.LRU:
                return invalidate_buckets_lru(self.c)
            case Replacement.FIFO:
                return invalidate_buckets_fifo(self.c)
        return invalidate_buckets_random(self.c, self._choose)


def bch_prio_write(c: CacheSet) -> bool:
    """Write prios and gens into fresh buckets, then free those of before; False when there are too few.

    `bch_prio_write`, super.c, with `wait` false.
    """
    ca = c.cache
    count = c.geometry.prio_buckets
    if count > len(ca.free[Reserve.PRIO]) + len(ca.free[Reserve.NONE]):
        return False
    for i in reversed(range(count)):
        first = i * c.geometry.prios_per_bucket
        # The gens of this part, as they are before its bucket is taken.
        part = ca.buckets[first : first + c.geometry.prios_per_bucket]
        ca.disk_gens[first : first + len(part)] = bytes(b.gen for b in part)
        bucket = bch_bucket_alloc(c, Reserve.PRIO)
        assert bucket is not None
        ca.prio_buckets[i] = bucket
        ca.buckets[bucket].pin -= 1
    for i, last in enumerate(ca.prio_last_buckets):
        if last:
            _free(c, ca.buckets[last])
        ca.prio_last_buckets[i] = ca.prio_buckets[i]
    return True


def bch_bucket_alloc(c: CacheSet, reserve: Reserve) -> int | None:
    """Take a bucket, from what is for everybody first; None when `reserve` is empty as well."""
    free = c.cache.free
    if free[Reserve.NONE]:
        bucket = free[Reserve.NONE].popleft()
    elif free[reserve]:
        bucket = free[reserve].popleft()
    else:
        return None
    b = c.cache.buckets[bucket]
    assert b.pin == 1, f"bucket {bucket} has {b.pin} pins"
    # 13 bits: of a bucket of 4 MiB nothing is left.
    b.gc_sectors_used = c.geometry.bucket_size & MAX_GC_SECTORS_USED
    metadata = reserve <= Reserve.PRIO
    b.gc_mark = GcMark.METADATA if metadata else GcMark.RECLAIMABLE
    b.prio = BTREE_PRIO if metadata else INITIAL_PRIO
    b.gc_move = False
    c.avail_nbuckets = max(c.avail_nbuckets - 1, 0)
    return bucket


def bch_bucket_alloc_set(c: CacheSet, reserve: Reserve) -> Bkey | None:
    """Take a bucket and return a key that points to it; None when there is none."""
    bucket = bch_bucket_alloc(c, reserve)
    return None if bucket is None else key(0, 0, 0, [c.ptr_into(bucket)])


def bch_bucket_free(c: CacheSet, k: Bkey) -> None:
    """Give back the buckets that a key points to; they are reused after an increase of their gens."""
    for ptr in k.ptr:
        _free(c, c.cache.bucket_of(ptr))


def _free(c: CacheSet, b: Bucket) -> None:
    """`__bch_bucket_free`."""
    b.gc_mark = GcMark.NONE
    b.gc_sectors_used = 0
    c.avail_nbuckets = min(c.avail_nbuckets + 1, c.geometry.nbuckets)
