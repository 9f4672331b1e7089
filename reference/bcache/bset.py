# SPDX-License-Identifier: GPL-2.0-or-later
"""The sets of keys of a node: searching, inserting, merging, sorting. Of extents or of pointers to nodes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from enum import IntEnum
from math import isqrt
from typing import Protocol

from reference.bcache.bkey import USHRT_MAX, Bkey, Position, bch_cut_front, make_ptr
from reference.bcache.geometry import PAGE_BYTES, Geometry
from reference.bcache.ondisk import BSET_HEADER

__all__ = [
    "MAX_BSETS",
    "Bset",
    "BtreeKeys",
    "InsertStatus",
    "KeysOps",
    "merged_extent",
    "preceding_position",
    "set_blocks",
]

MAX_BSETS = 4
SORT_CRIT = 4096 // 8
"""Words."""


class InsertStatus(IntEnum):
    """BTREE_INSERT_STATUS_*, bset.h. INSERT is never returned: a plain insert says FRONT_MERGE."""

    NO_INSERT = 0
    INSERT = 1
    BACK_MERGE = 2
    OVERWROTE = 3
    FRONT_MERGE = 4


class Bset:
    """`struct bset` and `struct bset_tree`: keys in order, and where in the node they lie."""

    __slots__ = ("block", "data", "u64s")

    def __init__(self, block: int) -> None:
        self.block = block
        """The first of the node's blocks that it takes."""
        self.data: list[Bkey] = []
        self.u64s = 0
        """`keys`: length of the keys, 8-byte words."""

    @property
    def set_bytes(self) -> int:
        """`set_bytes`, bset.h."""
        return BSET_HEADER + self.u64s * 8

    def search(self, position: Position) -> int:
        """`bch_bset_search`: the index of the first key that is after `position`."""
        return bisect_right(self.data, position, key=lambda k: k.position)

    def insert(self, index: int, k: Bkey) -> None:
        """`bch_bset_insert`, but for the room that has to be there."""
        self.data.insert(index, k)
        self.u64s += k.u64s

    def replace(self, keys: list[Bkey]) -> None:
        """Take other keys."""
        self.data = keys
        self.u64s = sum(k.u64s for k in keys)


def set_blocks(u64s: int, geometry: Geometry) -> int:
    """`__set_blocks`, bset.h."""
    return geometry.blocks(BSET_HEADER, u64s)


class KeysOps(Protocol):
    """`struct btree_keys_ops`."""

    is_extents: bool

    def insert_fixup(self, keys: BtreeKeys, insert: Bkey, replace_key: Bkey | None) -> bool:
        """Make room for `insert`; True when it is not to be inserted."""

    def key_invalid(self, k: Bkey) -> bool:
        """Whether the key is of no use to anybody."""

    def key_bad(self, k: Bkey) -> bool:
        """Whether it is invalid, or does not point to anything that is there."""

    def key_merge(self, left: Bkey, right: Bkey) -> bool:
        """Make one key of two that touch, if that can be; `left` is the merged key then."""


class BtreeKeys:
    """`struct btree_keys`: up to MAX_BSETS sets; all but the last were written, or sorted together."""

    def __init__(self, geometry: Geometry, ops: KeysOps, pages: int) -> None:
        self.geometry = geometry
        self.ops = ops
        self.page_order = pages.bit_length() - 1
        self.sets: list[Bset] = []
        self.last_set_unwritten = False

    @property
    def nsets(self) -> int:
        """Number of the last set."""
        return len(self.sets) - 1

    @property
    def last(self) -> Bset:
        """`bset_tree_last`."""
        return self.sets[-1]

    def init_next(self, block: int) -> None:
        """`bch_bset_init_next`: go on in a new set at `block`."""
        self.sets.append(Bset(block))
        self.last_set_unwritten = True

    @property
    def u64s_remaining(self) -> int:
        """`bch_btree_keys_u64s_remaining`, bset.h; 8-byte words."""
        if not self.last_set_unwritten:
            return 0
        last = self.last
        used = last.block * self.geometry.block_bytes + last.set_bytes
        return ((PAGE_BYTES << self.page_order) - used) // 8

    def bset_insert(self, index: int, k: Bkey) -> None:
        """`bch_bset_insert`, bset.c: into the last set."""
        assert self.last_set_unwritten
        assert k.u64s <= self.u64s_remaining, "the set is full"
        self.last.insert(index, k)

    def iterate(self, after: Position | None = None) -> Iterator[tuple[int, int, Bkey]]:
        """Yield the keys of all sets in order of where they end, each with its set and its index there.

        `bch_btree_iter_init` and `bch_btree_iter_next`, bset.c. Only keys after `after`, when it is given.
        The key that was yielded may be cut before the next is asked for.
        """
        heads = [0 if after is None else bset.search(after) for bset in self.sets]
        while True:
            best = -1
            for number, bset in enumerate(self.sets):
                if heads[number] < len(bset.data) and (
                    best < 0 or bset.data[heads[number]].position < self.sets[best].data[heads[best]].position
                ):
                    best = number
            if best < 0:
                return
            index = heads[best]
            heads[best] += 1
            yield best, index, self.sets[best].data[index]

    def filtered(self, bad: Callable[[Bkey], bool], after: Position | None = None) -> Iterator[Bkey]:
        """`bch_btree_iter_next_filter`: the keys that are not bad."""
        return (k for _, _, k in self.iterate(after) if not bad(k))

    def try_merge(self, left: Bkey, right: Bkey) -> bool:
        """`bch_bkey_try_merge`, bset.c."""
        touching = left.header == right.header and left.position == right.start_position
        return self.ops.is_extents and touching and self.ops.key_merge(left, right)

    def insert_key(self, k: Bkey, replace_key: Bkey | None = None) -> InsertStatus:
        """`bch_btree_insert_key`, bset.c: into the last set, over what the node says of these sectors.

        NO_INSERT when the extents there are not what `replace_key` was made from.
        """
        assert not self.ops.is_extents or k.size
        last = self.last
        start = k.start_position if self.ops.is_extents else k.position
        index = last.search(preceding) if (preceding := preceding_position(start)) else 0
        if self.ops.insert_fixup(self, k, replace_key):
            return InsertStatus.NO_INSERT
        prev: Bkey | None = None
        while index < len(last.data):
            m = last.data[index]
            if k.position <= (m.start_position if self.ops.is_extents else m.position):
                break
            prev = m
            index += 1
        if prev is not None and self.try_merge(prev, k):
            return InsertStatus.BACK_MERGE
        if index < len(last.data) and self.try_merge(k, last.data[index]):
            last.data[index] = k.copy()
            return InsertStatus.FRONT_MERGE
        self.bset_insert(index, k.copy())
        return InsertStatus.FRONT_MERGE

    def mergesort(self, sets: list[Bset], bad: Callable[[Bkey], bool]) -> list[Bkey]:
        """`btree_mergesort`, bset.c, without fix-ups: of equal keys those of newer sets come first."""
        extents = self.ops.is_extents
        ranked = [
            (k.start_position if extents else k.position, -number, index, k)
            for number, bset in enumerate(sets)
            for index, k in enumerate(bset.data)
        ]
        out: list[Bkey] = []
        for _, _, _, k in sorted(ranked, key=lambda entry: entry[:3]):
            if bad(k):
                continue
            if not out or not self.try_merge(out[-1], k):
                out.append(k.copy())
        return out

    def sort_partial(self, start: int) -> None:
        """`bch_btree_sort_partial`, bset.c: make one of the sets from `start` on."""
        self.sets[start].replace(self.mergesort(self.sets[start:], self.ops.key_invalid))
        del self.sets[start + 1 :]
        self.last_set_unwritten = False

    def sort_into(self, new: BtreeKeys) -> None:
        """`bch_btree_sort_into`, bset.c: what is still of use, into the first set of another node."""
        new.sets[0].replace(self.mergesort(self.sets, self.ops.key_bad))

    def sort_lazy(self) -> None:
        """`bch_btree_sort_lazy`, bset.c: sort the last sets together when they are small."""
        crit = SORT_CRIT
        for start in reversed(range(self.nsets)):
            crit *= isqrt(1 << self.page_order)
            if self.sets[start].u64s < crit:
                self.sort_partial(start)
                return
        if self.nsets + 1 == MAX_BSETS:
            self.sort_partial(0)
            return
        self.last_set_unwritten = False


def preceding_position(position: Position) -> Position | None:
    """`preceding_key`, bset.h: the place before; None when there is none.

    >>> preceding_position((3, 0)), preceding_position((3, 7)), preceding_position((0, 0))
    ((2, 18446744073709551615), (3, 6), None)
    """
    inode, offset = position
    if position == (0, 0):
        return None
    return (inode, offset - 1) if offset else (inode - 1, (1 << 64) - 1)


def merged_extent(geometry: Geometry, left: Bkey, right: Bkey) -> bool:
    """`bch_extent_merge`, extents.c: one extent of two that touch, also in the cache.

    Keys without pointers grow to USHRT_MAX sectors; what is left of `right` then stays a key of its own.
    """
    for lp, rp in zip(left.ptr, right.ptr, strict=True):
        apart = lp + make_ptr(0, left.size, 0) != rp
        if apart or geometry.bucket_of(lp) != geometry.bucket_of(rp):
            return False
    if left.size + right.size > USHRT_MAX:
        left.low += USHRT_MAX - left.size
        left.size = USHRT_MAX
        bch_cut_front(left.position, right)
        return False
    left.low += right.size
    left.size += right.size
    return True
