# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading without a lock while another CPU writes: the thread's objection to red-black trees, tried out.

Trond Myklebust: an rbtree cannot be used with RCU for lockless lookups. Peter Zijlstra: a rotation can hide a
branch. Here a lookup stops before each node that it reads, and a whole change of the index happens there. As
under RCU, what is removed can still be read. A reader between the stores of one change is not tried.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, TypeAlias

from reference.index.bplus import BPlusTree
from reference.index.interface import ExtentIndex
from reference.index.radix import RadixTree
from reference.index.radix_nodes import HEIGHT_TO_MAXINDEX, RADIX_TREE_MAP_MASK, RADIX_TREE_MAP_SHIFT
from reference.index.rbtree import RbTree
from reference.rbtree import Extent

__all__ = ["Change", "Reader", "Trial", "finish", "lockless_lookup", "trials"]

Reader: TypeAlias = Generator[None, None, Extent | None]
"""Stops before each node it reads; returns what it finds."""


@dataclass(frozen=True, slots=True)
class Change:
    """One insertion or deletion of an entry that ends at `end`."""

    kind: str
    """"insert" or "delete"."""
    end: int

    def apply(self, index: ExtentIndex[Extent]) -> None:
        """Do it, all at once."""
        if self.kind == "insert":
            index.insert(Extent(self.end, self.end))
        else:
            index.delete(self.end)


@dataclass(frozen=True, slots=True)
class Trial:
    """A lookup of `end`, which was there all the time, while `change` happened.

    It happened before the lookup read its node number `node`, from 0.
    """

    end: int
    node: int
    change: Change
    found: bool


def lockless_lookup(index: ExtentIndex[Extent], end: int) -> Reader:
    """Look up `end` in steps; TypeError for an index that is none of the three."""
    if isinstance(index, RbTree):
        return _lookup_rbtree(index, end)
    if isinstance(index, RadixTree):
        return _lookup_radix_tree(index, end)
    if isinstance(index, BPlusTree):
        return _lookup_bplus_tree(index, end)
    raise TypeError(f"{type(index).__name__} has no lookup without a lock")


def _lookup_rbtree(tree: RbTree[Any], end: int) -> Reader:
    """As `__tree_search` of the patch."""
    node = tree.anchor.left
    while node is not tree.anchor:
        yield
        if end == node.end:
            found: Extent = node
            return found
        node = node.left if end < node.end else node.right
    return None


def _lookup_radix_tree(tree: RadixTree[Any], end: int) -> Reader:
    """As `radix_tree_lookup`, which takes the height from the top node, not from the root."""
    slot = tree.rnode
    if slot is None or isinstance(slot, Extent):
        return slot if end == 0 else None
    height = slot.height
    if end > HEIGHT_TO_MAXINDEX[height]:
        return None
    for shift in range((height - 1) * RADIX_TREE_MAP_SHIFT, -1, -RADIX_TREE_MAP_SHIFT):
        yield
        slot = slot.slots[end >> shift & RADIX_TREE_MAP_MASK]
        if slot is None:
            return None
    found: Extent = slot
    return found


def _lookup_bplus_tree(tree: BPlusTree[Any], end: int) -> Reader:
    """As `btree_lookup`; a node pointer says itself whether it is one."""
    item: Any = tree.root
    while item is not None and not isinstance(item, Extent):
        yield
        item = item.items[(bisect_right(item.keys, end) or 1) - 1]
    return item if item is not None and item.end == end else None


def trials(cls: type[ExtentIndex[Extent]], ends: Sequence[int], changes: Iterable[Change]) -> Iterator[Trial]:
    """Try each change, alone, at each stop of each lookup of `ends`, inserted in that order."""
    for change in changes:
        for end in ends:
            if change == Change("delete", end):
                continue
            for node in count():
                index = cls()
                for each in ends:
                    index.insert(Extent(each, each))
                reader = lockless_lookup(index, end)
                if len(list(islice(reader, node + 1))) <= node:
                    break
                change.apply(index)
                yield Trial(end, node, change, finish(reader) is not None)


def finish(reader: Reader) -> Extent | None:
    """Let `reader` go on to its end, and return what it finds."""
    while True:
        try:
            next(reader)
        except StopIteration as stop:
            found: Extent | None = stop.value
            return found
