# SPDX-License-Identifier: GPL-2.0-or-later
"""What requests do to the tree: writes, misses that are filled, discards, writeback, moving (request.c).

Everything happens at once and whole: no I/O takes time, one task works at a time. Between asking for a fill
and filling, others may work, and garbage is collected when buckets run out.
"""

from __future__ import annotations

from collections.abc import Iterable

from reference.bcache.alloc import Allocator
from reference.bcache.bkey import Bkey, key
from reference.bcache.btree import (
    BtreeOp,
    Outcome,
    bch_btree_insert,
    bch_btree_insert_check_key,
    leaf_for,
)
from reference.bcache.data import DataBuckets
from reference.bcache.gc import GcPause, bch_btree_gc, gc_should_run
from reference.bcache.keybuf import Keybuf, bch_btree_map_keys
from reference.bcache.moving_gc import bch_moving_gc, moving_pred
from reference.bcache.node import bch_btree_node_write
from reference.bcache.structs import CacheSet

__all__ = ["CacheFullError", "Requests"]

BIO_MAX_SECTORS = 256 * 8
DISCARD_SECTORS = 1 << 15
"""Most of one key: 1U << (KEY_SIZE_BITS - 1)."""
MAX_KEY = ((1 << 20) - 1, (1 << 63) - 1)
SETTLE_ROUNDS = 8


class CacheFullError(Exception):
    """There is no bucket to be had: everything is dirty or metadata."""


class Requests:
    """Backing devices and who uses them."""

    def __init__(self, c: CacheSet, allocator: Allocator, op: BtreeOp | None = None) -> None:
        """`op` hears of decisions and splits."""
        self.c = c
        self.allocator = allocator
        self.data = DataBuckets(c)
        self.pauses: list[GcPause] = []
        """Of all garbage collections so far."""
        self.collections = 0
        self._listener = op or BtreeOp()

    def _op(self, lock: int = 0) -> BtreeOp:
        return BtreeOp(lock, decided=self._listener.decided, split=self._listener.split)

    def settle(self) -> None:
        """Let the allocator run, and collect garbage as often as it asks for it."""
        for _ in range(SETTLE_ROUNDS):
            self.allocator.run()
            if not gc_should_run(self.c):
                return
            self.collect()

    def collect(self) -> None:
        """Collect garbage, without letting anybody work meanwhile."""
        self.pauses += bch_btree_gc(self.c, self._op())
        self.collections += 1
        self.allocator.run()

    def flush(self) -> None:
        """Write all leaves, as when the set is stopped (`cache_set_flush`, super.c)."""
        for node in list(self.c.nodes.values()):
            if node.dirty:
                bch_btree_node_write(node)

    def insert(self, keys: list[Bkey], replace_key: Bkey | None = None) -> Outcome:
        """`bch_data_insert_keys`: insert keys whose data are written."""
        return bch_btree_insert(self.c, keys, replace_key, self._op(), self.settle)

    def write(self, inode: int, start: int, sectors: int, *, writeback: bool = False, point: int = 0) -> None:
        """Write sectors; with `writeback` only to the cache. CacheFullError when there is no room."""
        self.insert(self._place(inode, start, sectors, writeback, point))

    def miss(self, inode: int, start: int, sectors: int) -> Bkey:
        """Ask for sectors that are not cached, from `start` on; returns the key to be replaced.

        `cached_dev_cache_miss`: at most as many as one request has, up to the end of the leaf.
        """
        op = self._op()
        while True:
            leaf = leaf_for(self.c, (inode, start))
            end = start + min(sectors, BIO_MAX_SECTORS)
            if leaf.key.position < (inode, end):
                end = leaf.key.offset
            if found := bch_btree_insert_check_key(self.c, inode, end, end - start, op):
                return found
            self.settle()

    def fill(self, replace_key: Bkey) -> Outcome:
        """Put what a miss read into the cache, unless somebody wrote it meanwhile."""
        keys = self._place(replace_key.inode, replace_key.start, replace_key.size, False, 0)
        return self.insert(keys, replace_key)

    def discard(self, inode: int, start: int, sectors: int) -> None:
        """`bch_data_invalidate`: let nothing be cached of these sectors."""
        keys = []
        while sectors:
            size = min(sectors, DISCARD_SECTORS)
            keys.append(key(inode, start + size, size))
            start += size
            sectors -= size
        self.insert(keys)

    def written_back(self, dirty: Bkey) -> Outcome:
        """`write_dirty_finish`, writeback.c: the backing device has the data of a dirty key now."""
        clean = dirty.copy()
        clean.dirty = False
        for ptr in clean.ptr:
            self.c.cache.bucket_of(ptr).pin += 1
        return self.insert([clean], dirty)

    def move(self) -> int:
        """Move what is left in some buckets: moving gc; returns how many keys were moved."""
        bch_moving_gc(self.c)
        keybuf, moved = Keybuf(), 0
        keybuf.last_scanned = (0, 0)
        while w := keybuf.next_rescan(self.c, MAX_KEY, lambda k: moving_pred(self.c, k)):
            keybuf.delete(w)
            if self.c.ptr_stale(w.key.ptr[0]):
                continue
            keys = self._place(w.key.inode, w.key.start, w.key.size, w.key.dirty, 0, moving=True)
            moved += self.insert(keys, w.key) is Outcome.DONE
        return moved

    def cached(self) -> list[Bkey]:
        """Return the extents that are there, in order."""
        return list(bch_btree_map_keys(self.c))

    def dirty(self) -> Iterable[Bkey]:
        """Return the extents that the backing devices have not got."""
        return [k.copy() for k in self.cached() if k.dirty]

    def _place(
        self, inode: int, start: int, sectors: int, writeback: bool, point: int, *, moving: bool = False
    ) -> list[Bkey]:
        """`bch_data_insert_start`: find room for sectors, and return keys that say where."""
        keys: list[Bkey] = []
        self.c.sectors_to_gc -= sectors
        while sectors:
            k = self._room(inode, start, sectors, point, moving)
            keys.append(self.data.dirty(k) if writeback else k)
            start += k.size
            sectors -= k.size
        return keys

    def _room(self, inode: int, start: int, sectors: int, point: int, moving: bool) -> Bkey:
        for _ in range(SETTLE_ROUNDS):
            k = self.data.alloc_sectors(inode, start, sectors, point, moving=moving)
            if k is not None:
                return k
            self.settle()
        raise CacheFullError
