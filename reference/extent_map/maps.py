# SPDX-License-Identifier: GPL-2.0-or-later
"""The map tree of both versions: which bytes of the file are where on disk (fs/extent_map.c).

The methods are what is done under the lock; `tree.py` takes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EEXIST, ENOENT, ENOMEM

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.cache import Cache
from reference.extent_map.invariants import validate_maps
from reference.extent_map.objects import ExtentMap
from reference.index import ExtentIndex, OutOfNodesError
from reference.machine import WARN_ON

__all__ = ["Maps"]


class Maps:
    """`tree->map`: extent maps, disjoint, over any index. Offsets are bytes, ends inclusive.

    >>> from reference.index import RbTree
    >>> maps = Maps(RbTree(), Behaviour.corrected_rbtree)
    >>> maps.add(ExtentMap(0, 4095, 65536, 69631, "sda"))
    0
    >>> maps.add(ExtentMap(4096, 8191, 69632, 73727, "sda"))
    0
    >>> list(maps)                          # they follow each other on disk too: one map
    [map [0, 8191] at 65536 of sda]
    >>> maps.add(ExtentMap(4096, 12287))    # -EEXIST
    -17
    """

    __slots__ = ("behaviour", "cache", "index")

    def __init__(
        self, index: ExtentIndex[ExtentMap], behaviour: Behaviour, cache: Cache[ExtentMap] | None = None
    ) -> None:
        self.index = index
        self.behaviour = behaviour
        self.cache = cache or Cache("extent_map", ExtentMap, accounted=False)

    def free_extent_map(self, em: ExtentMap) -> None:
        """Drop a reference to `em`, and free it with the last (`free_extent_map`)."""
        em.refs -= 1
        if not em.refs:
            if self.behaviour.structure == "rbtree":
                WARN_ON(em.in_tree, "em->in_tree")
            self.cache.free(em)

    def add(self, em: ExtentMap) -> int:
        """Put `em` into the tree, which takes a reference, and let it take in the map before it.

        Returns 0, -EEXIST if a byte of it is mapped already, or -ENOMEM (`add_extent_mapping`).
        """
        em.refs += 1
        err = self._insert(em)
        if err and not self.behaviour.failed_add_leaks_reference:
            em.refs -= 1
        if em.start != 0 and (not err or self.behaviour.failed_add_merges):
            self._merge_backward(em)
        return err

    def _insert(self, em: ExtentMap) -> int:
        first = self.index.search(em.start)
        if first is not None and first.start <= em.end and not self.behaviour.maps_may_overlap:
            return -EEXIST
        try:
            if self.index.insert(em) is not None:
                return -EEXIST
        except OutOfNodesError:
            return -ENOMEM
        em.in_tree = True
        return 0

    def _merge_backward(self, em: ExtentMap) -> None:
        prev = self._before(em)
        if prev is None or not self._mergeable(em, prev):
            return
        em.start = prev.start
        em.block_start = prev.block_start
        self.index.erase(prev)
        prev.in_tree = False
        self.free_extent_map(prev)

    def _before(self, em: ExtentMap) -> ExtentMap | None:
        """Return the map that ends where `em` starts, or None: looked up, or the neighbour if it does."""
        if self.behaviour.structure == "radix":
            return self.index.lookup(em.start - 1)
        prev = self.index.prev(em)
        return prev if prev is not None and prev.end + 1 == em.start else None

    def _mergeable(self, em: ExtentMap, prev: ExtentMap) -> bool:
        """Tell whether `em` is a hole behind a hole, or goes on where `prev` ends on disk."""
        if em.bdev is not prev.bdev and not self.behaviour.merge_ignores_bdev:
            return False
        if em.block_start == 0 and prev.block_start == 0:
            return True
        return em.block_start == prev.block_end + 1

    def lookup(self, start: int, end: int) -> ExtentMap | None:
        """Return the first map in [start, end], with a reference for the caller (`lookup_extent_mapping`)."""
        em = self.index.search(start)
        if em is None or em.start > end:
            return None
        em.refs += 1
        return em

    def remove(self, em: ExtentMap) -> int:
        """Take `em` out of the tree; return 0, or -ENOENT if it is not there (`remove_extent_mapping`).

        The tree's reference goes to the caller.
        """
        there = self.index.lookup(em.end)
        if there is None or (there is not em and not self.behaviour.remove_by_end):
            return -ENOENT
        self.index.erase(there)
        there.in_tree = False
        return 0

    def __iter__(self) -> Iterator[ExtentMap]:
        return iter(self.index)

    def __len__(self) -> int:
        return len(self.index)

    def validate(self) -> None:
        """Raise InvariantError if an invariant is broken (invariants.py)."""
        validate_maps(self.index)
