# SPDX-License-Identifier: GPL-2.0-or-later
"""Where data go in the cache: open buckets, one for each stream of writes (alloc.c)."""

from __future__ import annotations

from dataclasses import dataclass, field

from reference.bcache.alloc import bch_bucket_alloc_set
from reference.bcache.bkey import Bkey, Position, key, make_ptr, ptr_dev, ptr_gen, ptr_offset
from reference.bcache.structs import CacheSet, GcMark, Reserve

__all__ = ["DataBuckets", "OpenBucket"]

MAX_OPEN_BUCKETS = 128


@dataclass
class OpenBucket:
    """`struct open_bucket`."""

    position: Position = (0, 0)
    """Where the last key that went here ends."""
    ptr: int | None = None
    """To the sector that comes next."""
    last_write_point: int = 0
    sectors_free: int = 0


@dataclass
class DataBuckets:
    """`data_buckets`: the open buckets, least recently used first."""

    c: CacheSet
    buckets: list[OpenBucket] = field(default_factory=lambda: [OpenBucket() for _ in range(MAX_OPEN_BUCKETS)])

    def alloc_sectors(
        self, inode: int, start: int, sectors: int, write_point: int = 0, *, moving: bool = False
    ) -> Bkey | None:
        """Return a key for the first of these sectors, as many as there is room for.

        None for want of buckets. `bch_alloc_sectors`: each stream has a bucket of its own.
        """
        b = self._pick((inode, start), write_point)
        if not b.sectors_free:
            alloc = bch_bucket_alloc_set(self.c, Reserve.MOVINGGC if moving else Reserve.NONE)
            if alloc is None:
                return None
            b.sectors_free = self.c.geometry.bucket_size
            b.ptr = alloc.ptr[0]
        assert b.ptr is not None
        sectors = min(sectors, b.sectors_free)
        k = key(inode, start + sectors, sectors, [b.ptr])
        self.buckets.remove(b)
        self.buckets.append(b)
        b.position = k.position
        b.last_write_point = write_point
        b.sectors_free -= sectors
        b.ptr = make_ptr(ptr_gen(b.ptr), ptr_offset(b.ptr) + sectors, ptr_dev(b.ptr))
        if b.sectors_free < self.c.geometry.block_size:
            b.sectors_free = 0
        if b.sectors_free:
            # The key has a pin of its own; the last one takes over that of the bucket.
            self.c.cache.bucket_of(k.ptr[0]).pin += 1
        return k

    def dirty(self, k: Bkey) -> Bkey:
        """Make a key of data that the backing device has not got (`bch_data_insert_start`, request.c)."""
        k.dirty = True
        for ptr in k.ptr:
            self.c.cache.bucket_of(ptr).gc_mark = GcMark.DIRTY
        return k

    def _pick(self, search: Position, write_point: int) -> OpenBucket:
        """`pick_data_bucket`: of the write before, else of this task's last one, else the oldest."""
        task: OpenBucket | None = None
        for bucket in reversed(self.buckets):
            if bucket.position == search:
                return bucket
            if bucket.last_write_point == write_point:
                task = bucket
        return task or self.buckets[0]
