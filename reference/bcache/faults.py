# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults to be seeded into the model, one line each of what a programmer might get wrong, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reference.bcache import alloc, bkey, bset, btree, data, extents, gc, node, requests, structs
from reference.bcache.bkey import Bkey, Position
from reference.bcache.structs import GcMark, Reserve

__all__ = ["FAULTS", "Patch"]

Patch = Callable[[Any, str, Any], None]
"""pytest's `monkeypatch.setattr`."""

FAULTS: dict[str, Callable[[Patch], None]] = {}


def _fault(seed: Callable[[Patch], None]) -> Callable[[Patch], None]:
    FAULTS[seed.__name__] = seed
    return seed


def _everywhere(patch: Patch, name: str, value: Any, *modules: Any) -> None:
    """Put `value` in the place of a function in all modules that took it by name."""
    for module in modules:
        patch(module, name, value)


# Keys


@_fault
def cut_front_leaves_the_pointer(patch: Patch) -> None:
    patch(bkey, "_move_ptr", lambda ptr, _sectors: ptr)


@_fault
def cut_front_moves_the_pointer_once_too_far(patch: Patch) -> None:
    right = bkey._move_ptr
    patch(bkey, "_move_ptr", lambda ptr, sectors: right(ptr, sectors + 1))


@_fault
def cut_back_leaves_a_sector(patch: Patch) -> None:
    def cut(where: Position, k: Bkey) -> bool:
        return bkey.bch_cut_back((where[0], where[1] + 1), k)

    patch(extents, "bch_cut_back", cut)


@_fault
def merges_what_is_apart_in_the_cache(patch: Patch) -> None:
    def merged(_geometry: object, left: Bkey, right: Bkey) -> bool:
        left.low += right.size
        left.size += right.size
        return True

    patch(extents, "merged_extent", merged)


@_fault
def merges_and_forgets_to_grow(patch: Patch) -> None:
    patch(extents, "merged_extent", lambda *_: True)


@_fault
def nothing_is_ever_stale(patch: Patch) -> None:
    patch(structs.CacheSet, "ptr_stale", lambda *_: 0)


# Inserting into a node


@_fault
def overlaps_are_left(patch: Patch) -> None:
    patch(extents.ExtentOps, "_cut", lambda *_: None)


@_fault
def split_extent_loses_its_end(patch: Patch) -> None:
    def split(_self: Any, _keys: Any, _number: int, _index: int, k: Bkey, insert: Bkey) -> None:
        bkey.bch_cut_back(insert.start_position, k)

    patch(extents.ExtentOps, "_split", split)


@_fault
def split_extent_keeps_its_middle(patch: Patch) -> None:
    right = extents.ExtentOps._split

    def split(self: Any, keys: Any, number: int, index: int, k: Bkey, insert: Bkey) -> None:
        before = k.copy()
        right(self, keys, number, index, k, insert)
        k.low, k.high = before.low, before.high

    patch(extents.ExtentOps, "_split", split)


@_fault
def replaces_whatever_is_there(patch: Patch) -> None:
    patch(extents, "_is_part_of", lambda *_: True)


@_fault
def replaces_what_only_begins_like_it(patch: Patch) -> None:
    def is_part(k: Bkey, replace_key: Bkey) -> bool:
        return k.start >= replace_key.start and k.offset <= replace_key.offset

    patch(extents, "_is_part_of", is_part)


@_fault
def dirty_sectors_are_counted_twice(patch: Patch) -> None:
    right = structs.CacheSet.add_dirty
    patch(structs.CacheSet, "add_dirty", lambda self, inode, n: right(self, inode, 2 * n))


@_fault
def overwritten_dirty_sectors_stay_counted(patch: Patch) -> None:
    right = structs.CacheSet.add_dirty
    patch(structs.CacheSet, "add_dirty", lambda self, inode, n: right(self, inode, max(n, 0)))


@_fault
def room_for_one_key_too_many(patch: Patch) -> None:
    right: Any = bset.BtreeKeys.__dict__["u64s_remaining"]
    patch(bset.BtreeKeys, "u64s_remaining", property(lambda self: right.fget(self) + 64))


@_fault
def sorting_forgets_the_newest_set(patch: Patch) -> None:
    right = bset.BtreeKeys.mergesort
    patch(
        bset.BtreeKeys, "mergesort", lambda self, sets, bad: right(self, sets[: max(len(sets) - 1, 1)], bad)
    )


@_fault
def sorting_by_where_keys_were(patch: Patch) -> None:
    def mergesort(_self: Any, sets: list[bset.Bset], bad: Callable[[Bkey], bool]) -> list[Bkey]:
        return [k.copy() for s in sets for k in s.data if not bad(k)]

    patch(bset.BtreeKeys, "mergesort", mergesort)


@_fault
def next_set_begins_in_the_last(patch: Patch) -> None:
    right = bset.BtreeKeys.init_next
    patch(bset.BtreeKeys, "init_next", lambda self, block: right(self, max(block - 1, 0)))


# The tree


@_fault
def split_loses_a_key(patch: Patch) -> None:
    right = btree.divide

    def divide(n1: Any, n2: Any, end: Position) -> None:
        right(n1, n2, end)
        n2.keys.sets[0].replace(n2.keys.sets[0].data[1:])

    patch(btree, "divide", divide)


@_fault
def split_keeps_a_key_in_both(patch: Patch) -> None:
    right = btree.divide

    def divide(n1: Any, n2: Any, end: Position) -> None:
        right(n1, n2, end)
        n2.keys.sets[0].replace([n1.keys.sets[0].data[-1].copy(), *n2.keys.sets[0].data])

    patch(btree, "divide", divide)


@_fault
def split_ends_the_first_half_early(patch: Patch) -> None:
    right = btree.divide

    def divide(n1: Any, n2: Any, end: Position) -> None:
        right(n1, n2, end)
        n1.key.position = n1.keys.sets[0].data[-2].position

    patch(btree, "divide", divide)


@_fault
def freed_node_keeps_its_gen(patch: Patch) -> None:
    patch(node, "bch_inc_gen", lambda _c, b: b.gen)


@_fault
def freed_node_is_not_told(patch: Patch) -> None:
    def freeing(b: Any) -> Bkey:
        # A key that says nothing, of a bucket that is not the node's.
        k: Bkey = b.key.copy()
        k.position = (0, 0)
        return k

    _everywhere(patch, "make_btree_freeing_key", freeing, btree, gc)


@_fault
def key_over_the_end_of_its_leaf_is_not_cut(patch: Patch) -> None:
    patch(btree, "bch_cut_back", lambda *_: False)


@_fault
def rest_of_a_cut_key_is_dropped(patch: Patch) -> None:
    def cut(_where: Position, k: Bkey) -> bool:
        k.size = 0
        return True

    patch(btree, "bch_cut_front", cut)


@_fault
def root_stays_the_old_one(patch: Patch) -> None:
    def set_root(b: Any) -> None:
        b.c.root = b if b.c.root is None else b.c.root

    _everywhere(patch, "bch_btree_set_root", set_root, btree, gc)


# Buckets


@_fault
def reused_bucket_keeps_its_gen(patch: Patch) -> None:
    patch(alloc, "bch_inc_gen", lambda _c, b: b.gen)


@_fault
def pinned_bucket_is_reused(patch: Patch) -> None:
    def can(c: Any, b: Any) -> bool:
        return (c.gc_mark_valid or b.reclaimable_in_gc) and b.gc_mark in (GcMark.NONE, GcMark.RECLAIMABLE)

    patch(alloc, "bch_can_invalidate_bucket", can)


@_fault
def dirty_bucket_is_reused(patch: Patch) -> None:
    def can(_c: Any, b: Any) -> bool:
        return b.gc_mark is not GcMark.METADATA and not b.pin

    patch(alloc, "bch_can_invalidate_bucket", can)


@_fault
def gens_are_not_written(patch: Patch) -> None:
    def write(c: Any) -> bool:
        before = bytes(c.cache.disk_gens)
        done = right(c)
        if c.sync:
            c.cache.disk_gens[:] = before
        return done

    right = alloc.bch_prio_write
    patch(alloc, "bch_prio_write", write)


@_fault
def bucket_goes_into_two_reserves(patch: Patch) -> None:
    def push(self: Any, bucket: int) -> bool:
        free = self.c.cache.free
        return any([free[Reserve.BTREE].push(bucket), free[Reserve.NONE].push(bucket)])

    patch(alloc.Allocator, "_push", push)


@_fault
def data_are_written_in_the_same_place(patch: Patch) -> None:
    patch(data, "ptr_offset", lambda ptr: (ptr >> 8 & (1 << 43) - 1) - 1)


@_fault
def key_has_no_pin(patch: Patch) -> None:
    right = data.DataBuckets.alloc_sectors

    def alloc_sectors(self: Any, *arguments: Any, **options: Any) -> Bkey | None:
        k = right(self, *arguments, **options)
        if k is not None:
            self.c.cache.bucket_of(k.ptr[0]).pin -= 1
        return k

    patch(data.DataBuckets, "alloc_sectors", alloc_sectors)


@_fault
def dirty_data_do_not_mark_their_bucket(patch: Patch) -> None:
    def dirty(_self: Any, k: Bkey) -> Bkey:
        k.dirty = True
        return k

    patch(data.DataBuckets, "dirty", dirty)


@_fault
def moved_data_come_out_clean(patch: Patch) -> None:
    right = requests.Requests._place

    def place(self: Any, *arguments: Any, moving: bool = False) -> list[Bkey]:
        inode, start, size, dirty, point = arguments
        return right(self, inode, start, size, dirty and not moving, point, moving=moving)

    patch(requests.Requests, "_place", place)


# Garbage collection


@_fault
def gc_takes_dirty_for_clean(patch: Patch) -> None:
    right = gc.mark_key

    def mark(c: Any, level: int, k: Bkey) -> int:
        clean = k.copy()
        clean.dirty = False
        return right(c, level, clean)

    patch(gc, "mark_key", mark)


@_fault
def gc_does_not_mark_nodes(patch: Patch) -> None:
    right = gc.mark_key
    patch(gc, "mark_key", lambda c, level, k: 0 if level else right(c, level, k))


@_fault
def gc_forgets_the_prios(patch: Patch) -> None:
    right = gc.bch_btree_gc_finish

    def finish(c: Any) -> None:
        right(c)
        for number in c.cache.prio_buckets:
            c.cache.buckets[number].gc_mark = GcMark.NONE

    patch(gc, "bch_btree_gc_finish", finish)


@_fault
def gc_forgets_the_uuids(patch: Patch) -> None:
    right = gc.bch_btree_gc_finish

    def finish(c: Any) -> None:
        right(c)
        c.cache.bucket_of(c.uuid_bucket.ptr[0]).gc_mark = GcMark.RECLAIMABLE

    patch(gc, "bch_btree_gc_finish", finish)


@_fault
def coalescing_loses_a_key(patch: Patch) -> None:
    right = gc.move_keys

    def move(to: Any, source: Any, last: Any, blocks: int) -> bool:
        done = right(to, source, last, blocks)
        to.keys.sets[0].replace(to.keys.sets[0].data[1:])
        return done

    patch(gc, "move_keys", move)


@_fault
def coalesced_node_keeps_its_key(patch: Patch) -> None:
    right = gc.move_keys

    def move(to: Any, source: Any, last: Any, blocks: int) -> bool:
        before = to.key.position
        done = right(to, source, last, blocks)
        to.key.position = (before[0], before[1] - 1)
        return done

    patch(gc, "move_keys", move)


@_fault
def coalesced_keys_are_put_in_front(patch: Patch) -> None:
    right = gc.move_keys

    def move(to: Any, source: Any, last: Any, blocks: int) -> bool:
        own = list(to.keys.sets[0].data)
        done = right(to, source, last, blocks)
        bset_ = to.keys.sets[0]
        bset_.replace(bset_.data[len(own) :] + own)
        return done

    patch(gc, "move_keys", move)


@_fault
def rewritten_node_is_empty(patch: Patch) -> None:
    right = node.btree_node_alloc_replacement

    def replacement(b: Any) -> Any:
        n = right(b)
        n.keys.sets[0].replace([])
        return n

    patch(gc, "btree_node_alloc_replacement", replacement)
