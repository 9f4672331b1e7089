# SPDX-License-Identifier: GPL-2.0-or-later
"""The index of the first version (10 July 2007): the radix tree of Linux 2.6.22 (lib/radix-tree.c)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from reference.index.interface import ExtentIndex
from reference.index.radix_invariants import validate_radix_tree
from reference.index.radix_nodes import (
    HEIGHT_TO_MAXINDEX,
    RADIX_TREE_MAP_MASK,
    RADIX_TREE_MAP_SHIFT,
    RADIX_TREE_MAP_SIZE,
    RADIX_TREE_NODE_BYTES,
    RADIX_TREE_ROOT_BYTES,
    NodeSupply,
    OutOfNodesError,
    RadixTreeNode,
)
from reference.index.work import Memory, Work, countable
from reference.rbtree import U64_MAX, Extent

__all__ = ["RadixTree"]

E = TypeVar("E", bound=Extent)


@countable
class RadixTree(ExtentIndex[E]):
    """Entries in a radix tree whose index is `end`; tags are left out.

    A tree of height 0 is empty, or has one entry, of index 0, in the place of its top node (`rnode`). Height
    grows with the greatest index, and shrinks when only the first slot of the top node is left.
    """

    __slots__ = ("failed_inserts", "height", "length", "rnode", "supply", "work")

    def __init__(self, supply: NodeSupply | None = None) -> None:
        self.supply = NodeSupply() if supply is None else supply
        self.rnode: Any = None
        self.height = 0
        self.length = 0
        self.failed_inserts = 0
        self.work = Work()

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[E]:
        # Top down, last slot first, so that the first is taken from the end of the list.
        waiting = [(self.rnode, self.height)] if self.rnode is not None else []
        while waiting:
            node, height = waiting.pop()
            if height == 0:
                yield node
            else:
                waiting += ((node.slots[slot], height - 1) for slot in _descending(node.used))

    def insert(self, entry: E) -> E | None:
        """Add `entry`; or return the entry that has its `end` already (`radix_tree_insert`).

        OutOfNodesError if there is no node for it; nodes that were made before stay, empty, in the tree.
        """
        index = entry.end
        try:
            if index > HEIGHT_TO_MAXINDEX[self.height]:
                self._extend(index)
            return self._insert_below(index, entry)
        except OutOfNodesError:
            self.failed_inserts += 1
            raise

    def _extend(self, index: int) -> None:
        """Make the tree high enough for `index` (`radix_tree_extend`)."""
        height = self.height + 1
        while index > HEIGHT_TO_MAXINDEX[height]:
            height += 1
        if self.rnode is None:
            self.height = height
            return
        while self.height < height:
            node = self.supply.radix_tree_node_alloc(self.height + 1)
            self.work.allocations += 1
            node.slots[0] = self.rnode
            node.used = 1
            self.rnode = node
            self.height += 1

    def _insert_below(self, index: int, entry: E) -> E | None:
        node: RadixTreeNode | None = None
        slot = self.rnode
        shift = self.height * RADIX_TREE_MAP_SHIFT
        offset = 0
        for height in range(self.height, 0, -1):
            if slot is None:
                slot = self.supply.radix_tree_node_alloc(height)
                self.work.allocations += 1
                self._fill_slot(node, offset, slot)
            self.work.node_visits += 1
            shift -= RADIX_TREE_MAP_SHIFT
            offset = index >> shift & RADIX_TREE_MAP_MASK
            node = slot
            slot = node.slots[offset]
        if slot is not None:
            present: E = slot
            return present
        self._fill_slot(node, offset, entry)
        self.length += 1
        return None

    def _fill_slot(self, node: RadixTreeNode | None, offset: int, item: RadixTreeNode | E) -> None:
        if node is None:
            self.rnode = item
        else:
            node.slots[offset] = item
            node.used |= 1 << offset

    def lookup(self, end: int) -> E | None:
        """Return the entry that ends at `end` (bytes), or None (`radix_tree_lookup`)."""
        if end > HEIGHT_TO_MAXINDEX[self.height]:
            return None
        slot = self.rnode
        for shift in range((self.height - 1) * RADIX_TREE_MAP_SHIFT, -1, -RADIX_TREE_MAP_SHIFT):
            if slot is None:
                return None
            self.work.node_visits += 1
            slot = slot.slots[end >> shift & RADIX_TREE_MAP_MASK]
        found: E | None = slot
        return found

    def search(self, offset: int) -> E | None:
        """Return the first entry that ends at or after `offset` (bytes), or None (a gang lookup of 1)."""
        found = self.gang_lookup(offset, 1)
        return found[0] if found else None

    def gang_lookup(self, offset: int, count: int) -> list[E]:
        """Return the first `count` entries that end at or after `offset` (`radix_tree_gang_lookup`)."""
        found: list[E] = []
        if self.height == 0:
            return [self.rnode] if self.rnode is not None and offset == 0 and count > 0 else found
        if self.rnode is None:
            return found
        max_index = HEIGHT_TO_MAXINDEX[self.height]
        # Behind the last index of all, the kernel's wraps to 0 and it stops.
        while len(found) < count and offset <= max_index:
            offset = self._lookup(found, offset, count)
        return found

    def _lookup(self, results: list[E], index: int, max_items: int) -> int:
        """Add the entries of the first node of height 1 that can have `index` or more; return where to go on.

        From the top each time: where a node ends, the next way down begins at its next index (`__lookup`).
        """
        node: RadixTreeNode = self.rnode
        shift = (self.height - 1) * RADIX_TREE_MAP_SHIFT
        while shift:
            self.work.node_visits += 1
            first = index >> shift & RADIX_TREE_MAP_MASK
            ahead = node.used >> first
            if not ahead:
                self.work.slots += _slots_to_the_end(shift, first)
                return _after_node(index, shift)
            if not ahead & 1:
                skipped = (ahead & -ahead).bit_length() - 1
                index = (index >> shift) + skipped << shift
                self.work.slots += skipped
                first += skipped
            self.work.slots += 1
            node = node.slots[first]
            shift -= RADIX_TREE_MAP_SHIFT
        self.work.node_visits += 1
        first = index & RADIX_TREE_MAP_MASK
        ahead = node.used >> first
        while ahead:
            slot = first + (ahead & -ahead).bit_length() - 1
            results.append(node.slots[slot])
            if len(results) == max_items:
                self.work.slots += slot + 1 - (index & RADIX_TREE_MAP_MASK)
                return (index & ~RADIX_TREE_MAP_MASK) + slot + 1
            ahead &= ahead - 1
        self.work.slots += _slots_to_the_end(0, first)
        return _after_node(index, 0)

    def next(self, entry: E) -> E | None:
        """Return the entry after `entry`, or None (a gang lookup of 1)."""
        return self.search(entry.end + 1)

    def prev(self, entry: E) -> E | None:
        """Return the entry before `entry`, or None. Linux 2.6.22 has no such walk, and the patch no need."""
        below: Any = None
        node = self.rnode
        for height in range(self.height, 0, -1):
            self.work.node_visits += 1
            offset = entry.end >> (height - 1) * RADIX_TREE_MAP_SHIFT & RADIX_TREE_MAP_MASK
            before = node.used & (1 << offset) - 1
            if before:
                below, left = node.slots[before.bit_length() - 1], height - 1
            node = node.slots[offset]
        if below is None:
            return None
        for _ in range(left):
            self.work.node_visits += 1
            below = below.slots[below.used.bit_length() - 1]
        found: E = below
        return found

    def erase(self, entry: E) -> None:
        """Remove `entry`, which must be in the tree."""
        self.delete(entry.end)

    def delete(self, end: int) -> E | None:
        """Remove the entry that ends at `end` (bytes) and return it, or None (`radix_tree_delete`)."""
        if end > HEIGHT_TO_MAXINDEX[self.height]:
            return None
        path: list[tuple[RadixTreeNode, int]] = []
        slot = self.rnode
        for shift in range((self.height - 1) * RADIX_TREE_MAP_SHIFT, -1, -RADIX_TREE_MAP_SHIFT):
            if slot is None:
                return None
            self.work.node_visits += 1
            offset = end >> shift & RADIX_TREE_MAP_MASK
            path.append((slot, offset))
            slot = slot.slots[offset]
        if slot is not None:
            self._empty_path(path)
            self.length -= 1
        found: E | None = slot
        return found

    def _empty_path(self, path: list[tuple[RadixTreeNode, int]]) -> None:
        """Empty the slot at the end of `path`, and free the nodes of it that this leaves empty."""
        for node, offset in reversed(path):
            node.slots[offset] = None
            node.used ^= 1 << offset
            if node.used:
                if node is self.rnode:
                    self._shrink()
                return
            self.work.frees += 1
        self.height = 0
        self.rnode = None

    def _shrink(self) -> None:
        """Lower the tree while its top node has nothing but its first slot (`radix_tree_shrink`).

        The freed node is emptied at once, under the eyes of readers without a lock; since 2.6.26 only when
        none can have it any more (643b52b9c0b4, "radix-tree: fix small lockless radix-tree bug").
        """
        while self.height > 0 and self.rnode.used == 1:
            freed = self.rnode
            self.rnode = freed.slots[0]
            self.height -= 1
            freed.slots[0] = None
            freed.used = 0
            self.work.frees += 1

    def memory(self) -> Memory:
        """Return what the nodes and the root occupy; preloaded nodes are not the tree's."""
        nodes = list(self.nodes())
        used = sum(node.used.bit_count() for node in nodes)
        free = RADIX_TREE_MAP_SIZE * len(nodes) - used
        return Memory(len(nodes), RADIX_TREE_NODE_BYTES, RADIX_TREE_ROOT_BYTES, used, free)

    def validate(self) -> None:
        """Raise InvariantError if the tree breaks an invariant (radix_invariants.py)."""
        validate_radix_tree(self)

    def nodes(self) -> Iterator[RadixTreeNode]:
        """Yield the nodes, each before those below it."""
        waiting = [self.rnode] if self.height and self.rnode is not None else []
        while waiting:
            node = waiting.pop()
            yield node
            if node.height > 1:
                waiting += (node.slots[slot] for slot in _descending(node.used))


def _descending(used: int) -> Iterator[int]:
    """Yield the slots in use, last first."""
    while used:
        slot = used.bit_length() - 1
        yield slot
        used ^= 1 << slot


def _after_node(index: int, shift: int) -> int:
    """Return the first index behind the node that has `index` and slots of 1 << `shift`."""
    shift += RADIX_TREE_MAP_SHIFT
    return (index >> shift) + 1 << shift


def _slots_to_the_end(shift: int, first: int) -> int:
    """Return how many slots from `first` on stand for indexes: of 64, but of 16 on top of height 11."""
    return min(RADIX_TREE_MAP_SIZE, U64_MAX + 1 >> shift) - first
