# SPDX-License-Identifier: GPL-2.0-or-later
"""What keys mean: of leaves (extents) and of inner nodes (pointers to nodes)."""

from __future__ import annotations

from reference.bcache.bkey import ZERO_POSITION, Bkey, bch_cut_back, bch_cut_front
from reference.bcache.bset import BtreeKeys, merged_extent, preceding_position
from reference.bcache.structs import CacheSet

__all__ = ["ExtentOps", "PointerOps"]


class PointerOps:
    """`bch_btree_keys_ops`, extents.c."""

    is_extents = False

    def __init__(self, c: CacheSet) -> None:
        self.c = c
        self.prio_blocked = 0
        """`prio_blocked` of the node's current write: freed children that its next write tells of."""

    def insert_fixup(self, keys: BtreeKeys, insert: Bkey, replace_key: Bkey | None) -> bool:
        """`bch_btree_ptr_insert_fixup`: count the freeing keys."""
        assert replace_key is None
        del keys
        if not insert.offset:
            self.prio_blocked += 1
        return False

    def key_invalid(self, k: Bkey) -> bool:
        """`__bch_btree_ptr_invalid`."""
        return self.c.geometry.btree_ptr_status(k) is not None

    def key_bad(self, k: Bkey) -> bool:
        """`bch_btree_ptr_bad`: freeing keys too."""
        return (
            k.position == ZERO_POSITION
            or self.key_invalid(k)
            or any(not self.c.geometry.available(ptr) or self.c.ptr_stale(ptr) for ptr in k.ptr)
        )

    def key_merge(self, left: Bkey, right: Bkey) -> bool:
        """Pointers to nodes are never merged."""
        raise AssertionError(f"{left} and {right} point to nodes")


class ExtentOps:
    """`bch_extent_keys_ops`, extents.c."""

    is_extents = True

    def __init__(self, c: CacheSet) -> None:
        self.c = c

    def key_invalid(self, k: Bkey) -> bool:
        """`__bch_extent_invalid`."""
        return not k.size or self.c.geometry.extent_status(k) is not None

    def key_bad(self, k: Bkey) -> bool:
        """`bch_extent_bad`: without pointers, a check key, or stale."""
        return (
            not k.ptr
            or self.key_invalid(k)
            or any(not self.c.geometry.available(ptr) for ptr in k.ptr)
            or any(self.c.ptr_stale(ptr) for ptr in k.ptr)
        )

    def key_merge(self, left: Bkey, right: Bkey) -> bool:
        """`bch_extent_merge`."""
        return merged_extent(self.c.geometry, left, right)

    def insert_fixup(self, keys: BtreeKeys, insert: Bkey, replace_key: Bkey | None) -> bool:
        """`bch_extent_insert_fixup`: cut or split what `insert` overlaps; True when it is refused.

        With `replace_key` the sectors have to say, without a gap from the first on, what it says; `insert`
        is cut to those that do. What came before a refusal stays cut.
        """
        assert insert.offset
        assert insert.size
        found = 0
        for number, index, k in keys.iterate(preceding_position(insert.start_position)):
            if k.start_position >= insert.position:
                if k.size:
                    break
                continue
            if k.position <= insert.start_position:
                continue
            old_size = k.size
            if replace_key is not None and k.size:
                if not _is_part_of(k, replace_key) or k.start > insert.start + found:
                    break
                found = k.offset - insert.start
            if insert.position < k.position and insert.start_position > k.start_position:
                self._split(keys, number, index, k, insert)
                # Who reads on here does not look at what was found.
                self._add_dirty(insert)
                return False
            self._cut(keys, number, k, insert)
            if k.dirty:
                self.c.add_dirty(k.inode, -(old_size - k.size))
        if replace_key is not None:
            if not found:
                return True
            if found < insert.size:
                insert.low -= insert.size - found
                insert.size = found
        self._add_dirty(insert)
        return False

    def _split(self, keys: BtreeKeys, number: int, index: int, k: Bkey, insert: Bkey) -> None:
        """Make two of `k`: what is after `insert` becomes a key of the last set, if `k` was written."""
        if k.dirty:
            self.c.add_dirty(k.inode, -insert.size)
        top = k.copy()
        bch_cut_front(insert.position, top)
        written = not keys.last_set_unwritten or number < keys.nsets
        keys.bset_insert(keys.last.search(insert.position) if written else index + 1, top)
        bch_cut_back(insert.start_position, k)

    def _cut(self, keys: BtreeKeys, number: int, k: Bkey, insert: Bkey) -> None:
        """Take from `k` what `insert` overlaps, at one end or all of it."""
        if insert.position < k.position:
            bch_cut_front(insert.position, k)
            return
        written = not keys.last_set_unwritten or number < keys.nsets
        if written and insert.start_position <= k.start_position:
            # The key stays where it is, so that the search tree of the set stays right.
            bch_cut_front(k.position, k)
        else:
            bch_cut_back(insert.start_position, k)

    def _add_dirty(self, insert: Bkey) -> None:
        if insert.dirty:
            self.c.add_dirty(insert.inode, insert.size)


def _is_part_of(k: Bkey, replace_key: Bkey) -> bool:
    """Whether `k` is a part of the key that was replaced: the same place in the cache."""
    if k.start < replace_key.start or k.offset > replace_key.offset or k.header != replace_key.header:
        return False
    offset = k.start - replace_key.start << 8
    return all(p == r + offset & (1 << 64) - 1 for p, r in zip(k.ptr, replace_key.ptr, strict=True))
