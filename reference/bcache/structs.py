# SPDX-License-Identifier: GPL-2.0-or-later
"""The set, its cache device and its buckets, as far as the btree sees them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from reference.bcache.behaviour import Behaviour
from reference.bcache.bkey import ZERO_POSITION, Bkey, Position, make_ptr
from reference.bcache.geometry import Geometry

if TYPE_CHECKING:
    from reference.bcache.node import Node

__all__ = [
    "BTREE_PRIO",
    "INITIAL_PRIO",
    "MAX_GC_SECTORS_USED",
    "Bucket",
    "Cache",
    "CacheSet",
    "Fifo",
    "GcMark",
    "GcStat",
    "Replacement",
    "Reserve",
]

BTREE_PRIO = 0xFFFF
INITIAL_PRIO = 32768
MAX_GC_SECTORS_USED = (1 << 13) - 1
SB_JOURNAL_BUCKETS = 256


class GcMark(IntEnum):
    """GC_MARK_*, bcache.h; NONE is what it means that nothing points to the bucket."""

    NONE = 0
    RECLAIMABLE = 1
    DIRTY = 2
    METADATA = 3


class Reserve(IntEnum):
    """`enum alloc_reserve`, bcache.h."""

    BTREE = 0
    PRIO = 1
    MOVINGGC = 2
    NONE = 3


class Replacement(IntEnum):
    """CACHE_REPLACEMENT_*, bcache_ondisk.h."""

    LRU = 0
    FIFO = 1
    RANDOM = 2


@dataclass
class Bucket:
    """`struct bucket`."""

    number: int
    gen: int = 0
    last_gc: int = 0
    """The oldest gen of a pointer that gc found."""
    prio: int = 0
    pin: int = 0
    gc_mark: GcMark = GcMark.NONE
    gc_sectors_used: int = 0
    gc_move: bool = False
    reclaimable_in_gc: bool = False

    @property
    def gc_gen(self) -> int:
        """`bucket_gc_gen`."""
        return self.gen - self.last_gc & 0xFF


class Fifo(deque[int]):
    """A fifo of a fixed size, which refuses what does not fit (util.h)."""

    def __init__(self, size: int, *, exact: bool = False) -> None:
        super().__init__()
        self.size = size if exact or size <= 4 else (1 << (size - 1).bit_length()) - 1
        """`init_fifo` makes it one less than a power of two."""

    @property
    def full(self) -> bool:
        """`fifo_full`."""
        return len(self) >= self.size

    def push(self, bucket: int) -> bool:
        """`fifo_push`: False when it is full."""
        if self.full:
            return False
        self.append(bucket)
        return True


@dataclass
class GcStat:
    """`struct gc_stat`."""

    nodes: int = 0
    nodes_pre: int = 0
    key_bytes: int = 0
    nkeys: int = 0
    data: int = 0


class Cache:
    """`struct cache`: buckets, their reserves, and what was written of their gens."""

    def __init__(self, geometry: Geometry, journal_buckets: int, replacement: Replacement) -> None:
        self.geometry = geometry
        self.buckets = [Bucket(number) for number in range(geometry.nbuckets)]
        self.journal = range(geometry.first_bucket, geometry.first_bucket + journal_buckets)
        self.replacement = replacement
        # cache_alloc, super.c.
        free = (1 << (geometry.nbuckets - 1).bit_length()) >> 10
        if not free:
            raise ValueError(f"{geometry.nbuckets} buckets are too few: 513 are needed")
        btree = min(max(geometry.nbuckets >> 7, 32), SB_JOURNAL_BUCKETS)
        self.free = {
            Reserve.BTREE: Fifo(btree),
            Reserve.PRIO: Fifo(geometry.prio_buckets, exact=True),
            Reserve.MOVINGGC: Fifo(free),
            Reserve.NONE: Fifo(free),
        }
        self.free_inc = Fifo(free << 2)
        self.heap_size = free << 3
        self.fifo_last_bucket = 0
        self.invalidate_needs_gc = False
        self.prio_buckets: list[int] = [0] * geometry.prio_buckets
        self.prio_last_buckets: list[int] = [0] * geometry.prio_buckets
        self.disk_gens = bytearray(geometry.nbuckets)
        """What the prio sets say."""

    def each_bucket(self) -> Iterator[Bucket]:
        """`for_each_bucket`."""
        return iter(self.buckets[self.geometry.first_bucket :])

    def bucket_of(self, ptr: int) -> Bucket:
        """PTR_BUCKET."""
        return self.buckets[self.geometry.bucket_of(ptr)]


@dataclass
class CacheSet:
    """`struct cache_set`."""

    cache: Cache
    behaviour: Behaviour = field(default_factory=Behaviour)
    root: Node | None = None
    nodes: dict[int, Node] = field(default_factory=dict)
    """All nodes of the tree, by their first pointer: nothing is ever read from disk."""
    uuid_bucket: Bkey | None = None
    sectors_dirty: dict[int, int] = field(default_factory=dict)
    """By device: `bcache_dev_sectors_dirty_add`."""
    gc_mark_valid: bool = False
    gc_done: Position = ZERO_POSITION
    gc_stats: GcStat = field(default_factory=GcStat)
    sectors_to_gc: int = 0
    need_gc: int = 0
    prio_blocked: int = 0
    """Freed nodes whose parent is not written yet: until then no gens are written."""
    avail_nbuckets: int = 0
    min_prio: int = 0
    search_inflight: int = 0
    bucket_wait_cnt: int = 0
    sync: bool = False
    """CACHE_SYNC: something was written that has to be found again."""
    node_seq: int = 0
    """Numbers that the kernel takes at random: of nodes, and of check keys."""
    writeback_keys: list[Bkey] = field(default_factory=list)
    """Keys that writeback is at work on."""

    @property
    def geometry(self) -> Geometry:
        """The sizes of the cache device."""
        return self.cache.geometry

    def next_number(self) -> int:
        """Return a number that was not returned before, for get_random_bytes."""
        self.node_seq += 1
        return self.node_seq

    def ptr_stale(self, ptr: int) -> int:
        """`ptr_stale`."""
        return self.geometry.stale(self.cache.bucket_of(ptr).gen, ptr)

    def ptr_into(self, bucket: int, sector: int = 0) -> int:
        """Return a pointer into a bucket as it is now."""
        offset = bucket * self.geometry.bucket_size + sector
        return make_ptr(self.cache.buckets[bucket].gen, offset, 0)

    def add_dirty(self, inode: int, sectors: int) -> None:
        """`bcache_dev_sectors_dirty_add`, writeback.c, without its stripes."""
        self.sectors_dirty[inode] = self.sectors_dirty.get(inode, 0) + sectors

    def bkey_put(self, k: Bkey) -> None:
        """`bkey_put`, btree.c: the key's buckets may be reused again."""
        for ptr in k.ptr:
            if self.geometry.available(ptr):
                bucket = self.cache.bucket_of(ptr)
                assert bucket.pin > 0, f"{k}: bucket {bucket.number} is not pinned"
                bucket.pin -= 1
