# SPDX-License-Identifier: GPL-2.0-or-later
"""Moving what little is left in some buckets, so that they can be reused (movinggc.c)."""

from __future__ import annotations

from reference.bcache.bkey import Bkey
from reference.bcache.heap import Heap
from reference.bcache.structs import Bucket, CacheSet, GcMark, Reserve

__all__ = ["bch_moving_gc", "moving_pred"]


def _cmp(left: Bucket, right: Bucket) -> bool:
    """`bucket_cmp`: the fullest comes first."""
    return left.gc_sectors_used < right.gc_sectors_used


def bch_moving_gc(c: CacheSet) -> list[int]:
    """Mark the emptiest buckets, as many as fit into the reserve, to be moved; returns them."""
    ca = c.cache
    size = c.geometry.bucket_size
    heap: Heap[Bucket] = Heap(ca.heap_size, [])
    to_move = 0
    for b in ca.each_bucket():
        if b.gc_mark is GcMark.METADATA or b.gc_sectors_used in (0, size) or b.pin:
            continue
        if not heap.full:
            to_move += b.gc_sectors_used
            heap.add(b, _cmp)
        elif _cmp(b, heap.data[0]):
            to_move += b.gc_sectors_used - heap.data[0].gc_sectors_used
            heap.data[0] = b
            heap.sift(0, _cmp)
    while to_move > size * len(ca.free[Reserve.MOVINGGC]):
        fullest = heap.pop(_cmp)
        assert fullest is not None
        to_move -= fullest.gc_sectors_used
    for b in heap.data:
        b.gc_move = True
    return sorted(b.number for b in heap.data)


def moving_pred(c: CacheSet, k: Bkey) -> bool:
    """Whether a key lies in a bucket that is to be moved."""
    return any(c.geometry.available(ptr) and c.cache.bucket_of(ptr).gc_move for ptr in k.ptr)
