# SPDX-License-Identifier: GPL-2.0-or-later
"""Radix trees as reada.c uses them: anything under an index of its own choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from reference.index import RadixTree
from reference.rbtree import Extent

__all__ = ["PAGE_SHIFT", "RadixTreeRoot"]

PAGE_SHIFT = 12
"""Indexes are addresses in pages of x86-64 (PAGE_CACHE_SHIFT in the seed)."""

T = TypeVar("T")


class _Slot(Extent, Generic[T]):
    """What the index holds: `end` is where, `item` is what."""

    __slots__ = ("item",)

    def __init__(self, index: int, item: T) -> None:
        self.start = index
        self.end = index
        self.item = item


class RadixTreeRoot(Generic[T]):
    """`struct radix_tree_root` (lib/radix-tree.c), on the nodes of `reference.index.RadixTree`.

    >>> tree = RadixTreeRoot()
    >>> tree.insert(5, "five"), tree.insert(5, "again"), tree.insert(9, "nine")
    (True, False, True)
    >>> tree.gang_lookup(6), tree.delete(9), tree.gang_lookup(6)
    ('nine', 'nine', None)
    """

    __slots__ = ("_tree",)

    def __init__(self) -> None:
        self._tree: RadixTree[_Slot[T]] = RadixTree()

    def __len__(self) -> int:
        return len(self._tree)

    def __iter__(self) -> Iterator[tuple[int, T]]:
        return ((slot.end, slot.item) for slot in self._tree)

    def __fingerprint__(self) -> object:
        """What is in it; the nodes follow from that."""
        return list(self)

    def insert(self, index: int, item: T) -> bool:
        """Add `item`; return False, the kernel's -EEXIST, if there is one (`radix_tree_insert`)."""
        return self._tree.insert(_Slot(index, item)) is None

    def lookup(self, index: int) -> T | None:
        """Return what is at `index`, or None (`radix_tree_lookup`)."""
        slot = self._tree.lookup(index)
        return None if slot is None else slot.item

    def gang_lookup(self, first_index: int) -> T | None:
        """Return the first at or after `first_index`, or None (`radix_tree_gang_lookup` of 1)."""
        slot = self._tree.search(first_index)
        return None if slot is None else slot.item

    def delete(self, index: int) -> T | None:
        """Take out what is at `index` and return it, or None (`radix_tree_delete`)."""
        slot = self._tree.delete(index)
        return None if slot is None else slot.item

    def validate(self) -> None:
        """Raise InvariantError if the tree under it breaks one of its own invariants."""
        self._tree.validate()
