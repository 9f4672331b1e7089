# SPDX-License-Identifier: GPL-2.0-or-later
"""A cache set that was just made: what `run_cache_set` (super.c) does for an empty cache."""

from __future__ import annotations

from reference.bcache.alloc import (
    Allocator,
    bch_bucket_alloc_set,
    bch_can_invalidate_bucket,
    bch_prio_write,
    invalidate_one_bucket,
)
from reference.bcache.behaviour import Behaviour
from reference.bcache.bkey import max_key
from reference.bcache.gc import bch_btree_gc_finish
from reference.bcache.geometry import Geometry
from reference.bcache.node import bch_btree_node_alloc, bch_btree_node_write, bch_btree_set_root
from reference.bcache.structs import SB_JOURNAL_BUCKETS, Cache, CacheSet, GcMark, Replacement, Reserve

__all__ = ["bch_initial_gc_finish", "new_cache_set"]


def bch_initial_gc_finish(c: CacheSet) -> None:
    """Put some unused buckets into the reserves: without any no gens can be written, and none be freed."""
    bch_btree_gc_finish(c)
    free = c.cache.free
    for b in c.cache.each_bucket():
        if free[Reserve.PRIO].full and free[Reserve.BTREE].full:
            break
        if bch_can_invalidate_bucket(c, b) and b.gc_mark is GcMark.NONE:
            invalidate_one_bucket(c, b)
            if not free[Reserve.PRIO].push(b.number):
                free[Reserve.BTREE].push(b.number)


def new_cache_set(
    geometry: Geometry,
    behaviour: Behaviour | None = None,
    replacement: Replacement = Replacement.LRU,
) -> tuple[CacheSet, Allocator]:
    """Return a set with an empty tree, and its allocator; ValueError when the device is too small for one."""
    journal_buckets = min(max(geometry.nbuckets >> 7, 2), SB_JOURNAL_BUCKETS)
    c = CacheSet(Cache(geometry, journal_buckets, replacement), behaviour or Behaviour())
    bch_initial_gc_finish(c)
    allocator = Allocator(c)
    allocator.run()
    written = bch_prio_write(c)
    assert written
    allocator.run()
    uuids = bch_bucket_alloc_set(c, Reserve.BTREE)
    assert uuids
    uuids.size = geometry.meta_bucket_bytes // 512
    c.bkey_put(uuids)
    c.uuid_bucket = uuids
    root = bch_btree_node_alloc(c, 0, None)
    root.key.position = max_key().position
    bch_btree_node_write(root)
    bch_btree_set_root(root)
    c.sync = True
    allocator.run()
    return c, allocator
