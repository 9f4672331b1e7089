# SPDX-License-Identifier: GPL-2.0-or-later
"""The index proposed in the thread (Peter Zijlstra, 24 July 2007): a B+tree that can be read under RCU.

After his "RCU friendly B+tree" (linux-mm, 22 October 2007; include/linux/btree.h, lib/btree.c): 16 items a
node, leaves not threaded. In a node that readers can see, nothing is changed but the pointer to one child and
its key: whatever changes more is copied, and the copy put in its place by one store.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, TypeVar

from reference.index.bplus_invariants import validate_bplus_tree
from reference.index.bplus_nodes import (
    BTREE_ITEM_HALF,
    BTREE_ITEM_MAX,
    BTREE_NODE_BYTES,
    BTREE_ROOT_BYTES,
    BPlusNode,
)
from reference.index.interface import ExtentIndex
from reference.index.work import Memory, Work, countable
from reference.rbtree import Extent

__all__ = ["BPlusTree"]

E = TypeVar("E", bound=Extent)
_Way = list[tuple[BPlusNode, int]]
"""Nodes from the root down, each with the number of the item that the way goes on through."""


@countable
class BPlusTree(ExtentIndex[E]):
    """Entries in the leaves of a B+tree by `end`; an inner item has the first key of its child.

    A tree of height 0 is empty, of height 1 a leaf. An emptied leaf is the root's only.
    """

    __slots__ = ("height", "length", "root", "work")

    def __init__(self) -> None:
        self.root: BPlusNode | None = None
        self.height = 0
        self.length = 0
        self.work = Work()

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[E]:
        for node, height in self.nodes():
            if height == 1:
                yield from node.items

    def insert(self, entry: E) -> E | None:
        """Add `entry`; or return the entry that has its `end` already (`btree_insert`)."""
        end = entry.end
        if self.root is None:
            self.root = BPlusNode([], [])
            self.height = 1
            self.work.allocations += 1
        path = self._way_to(end)
        leaf, at = path.pop()
        if leaf.keys and leaf.keys[at] == end:
            present: E = leaf.items[at]
            return present
        if leaf.keys and leaf.keys[at] < end:
            at += 1
        self._replace(path, leaf, slice(at, at), [end], [entry])
        self.length += 1
        return None

    def lookup(self, end: int) -> E | None:
        """Return the entry that ends at `end` (bytes), or None (`btree_lookup`)."""
        found = self._last_until(end)
        return found if found is not None and found.end == end else None

    def search(self, offset: int) -> E | None:
        """Return the first entry that ends at or after `offset` (bytes), or None (`btree_search_next`)."""
        node = self.root
        if node is None:
            return None
        # Where the way to the next leaf branches off from the way down.
        fork: BPlusNode | None = None
        fork_at = fork_height = 0
        for height in range(self.height, 1, -1):
            self.work.node_visits += 1
            self.work.compares += _compares(node, offset)
            after = bisect_right(node.keys, offset) or 1
            if after < len(node.keys):
                fork, fork_at, fork_height = node, after, height
            node = node.items[after - 1]
        self.work.node_visits += 1
        self.work.compares += _compares(node, offset)
        at = bisect_left(node.keys, offset)
        if at < len(node.keys):
            found: E = node.items[at]
            return found
        if fork is None:
            return None
        following: Any = fork.items[fork_at]
        for _ in range(fork_height - 1):
            self.work.node_visits += 1
            following = following.items[0]
        first: E = following
        return first

    def next(self, entry: E) -> E | None:
        """Return the entry after `entry`, or None: searched for, as leaves are not threaded."""
        return self.search(entry.end + 1)

    def prev(self, entry: E) -> E | None:
        """Return the entry before `entry`, or None (`btree_stab`)."""
        return self._last_until(entry.end - 1)

    def erase(self, entry: E) -> None:
        """Remove `entry`, which must be in the tree."""
        self.delete(entry.end)

    def delete(self, end: int) -> E | None:
        """Remove the entry that ends at `end` (bytes) and return it, or None (`btree_remove`)."""
        if self.root is None:
            return None
        path = self._way_to(end)
        leaf, at = path.pop()
        entry: E = leaf.items[at]
        if entry.end != end:
            return None
        self._replace(path, leaf, slice(at, at + 1), [], [])
        self.length -= 1
        return entry

    def memory(self) -> Memory:
        """Return what the nodes and the root occupy; nodes set aside for the next change are not counted."""
        sizes = [len(node.keys) for node, _ in self.nodes()]
        free = BTREE_ITEM_MAX * len(sizes) - sum(sizes)
        return Memory(len(sizes), BTREE_NODE_BYTES, BTREE_ROOT_BYTES, sum(sizes), free)

    def validate(self) -> None:
        """Raise InvariantError if the tree breaks an invariant (bplus_invariants.py)."""
        validate_bplus_tree(self)

    def nodes(self) -> Iterator[tuple[BPlusNode, int]]:
        """Yield the nodes with their heights (1 for leaves), each before those below it, in order."""
        waiting = [(self.root, self.height)] if self.root is not None else []
        while waiting:
            node, height = waiting.pop()
            yield node, height
            if height > 1:
                waiting += ((child, height - 1) for child in reversed(node.items))

    def _way_to(self, key: int) -> _Way:
        """Return the way to the last item whose key is at most `key`, or to the first of all."""
        path: _Way = []
        node: Any = self.root
        for _ in range(self.height):
            self.work.node_visits += 1
            self.work.compares += _compares(node, key)
            at = (bisect_right(node.keys, key) or 1) - 1
            path.append((node, at))
            node = node.items[at] if node.items else None
        return path

    def _last_until(self, key: int) -> E | None:
        """Return the last entry that ends at or before `key`, or None."""
        node: Any = self.root
        for _ in range(self.height):
            self.work.node_visits += 1
            self.work.compares += _compares(node, key)
            after = bisect_right(node.keys, key)
            if not after:
                return None
            node = node.items[after - 1]
        found: E | None = node
        return found

    def _replace(self, path: _Way, node: BPlusNode, place: slice, keys: list[int], items: list[Any]) -> None:
        """Put `keys` and `items` in the place of those of `node`, to which `path` leads.

        A node is replaced by its changed copy; by two if that overflows; if it underflows, it and a neighbour
        are replaced by one or two. One for one is a store in the node above, everything else changes it, too.
        """
        while True:
            copy = node.changed(place, keys, items)
            self.work.frees += 1
            nodes = [copy]
            parent, at = path.pop() if path else (None, 0)
            place = slice(at, at + 1)
            if len(copy.keys) > BTREE_ITEM_MAX:
                # The half that gets what is new has one item more.
                added_at = copy.keys.index(keys[-1])
                nodes = copy.cut(BTREE_ITEM_HALF + (added_at < BTREE_ITEM_HALF))
            elif len(copy.keys) < BTREE_ITEM_HALF and parent is not None:
                nodes, place = _with_neighbour(parent, at, copy)
                self.work.frees += 1
            self.work.allocations += len(nodes)
            self.work.moves += sum(len(made.keys) for made in nodes)
            if parent is None:
                self._put_on_top(nodes)
                return
            if len(nodes) == 1 and place.stop - place.start == 1:
                parent.items[at] = copy
                _tighten([*path, (parent, at)], copy.keys[0])
                return
            node, keys, items = parent, [made.keys[0] for made in nodes], nodes

    def _put_on_top(self, nodes: list[BPlusNode]) -> None:
        root = nodes[0]
        if len(nodes) > 1:
            root = BPlusNode([node.keys[0] for node in nodes], nodes)
            self.height += 1
            self.work.allocations += 1
            self.work.moves += len(nodes)
        elif len(root.keys) == 1 and self.height > 1:
            root = root.items[0]
            self.height -= 1
            self.work.frees += 1
        if root.keys:
            self.root = root
            return
        self.root = None
        self.height = 0
        self.work.frees += 1


def _with_neighbour(parent: BPlusNode, at: int, copy: BPlusNode) -> tuple[list[BPlusNode], slice]:
    """Let `copy`, for item `at` of `parent`, borrow from a neighbour that can lend, or else join one.

    Return the nodes that replace the two, and the place of the two. The left neighbour is asked first.
    """
    left = parent.items[at - 1] if at else None
    right = parent.items[at + 1] if at + 1 < len(parent.items) else None
    if left is not None and len(left.keys) > BTREE_ITEM_HALF:
        keeps = len(left.keys) - _lends(left)
        return left.joined(copy).cut(keeps), slice(at - 1, at + 1)
    if right is not None and len(right.keys) > BTREE_ITEM_HALF:
        gets = len(copy.keys) + _lends(right)
        return copy.joined(right).cut(gets), slice(at, at + 2)
    if left is not None:
        return [left.joined(copy)], slice(at - 1, at + 1)
    assert right is not None, "an inner node has at least two children"
    return [copy.joined(right)], slice(at, at + 2)


def _lends(node: BPlusNode) -> int:
    """Return how many items a node with more than half gives away: half of the surplus, rounded up."""
    return (len(node.keys) - BTREE_ITEM_HALF + 1) // 2


def _tighten(path: _Way, key: int) -> None:
    """Give the items at the end of `path` the `key` that their children begin with now."""
    for node, at in reversed(path):
        if node.keys[at] == key:
            return
        node.keys[at] = key
        if at:
            return


def _compares(node: BPlusNode, key: int) -> int:
    """Count the comparisons of the patch: with the first key, then one by one until a greater one."""
    at = (bisect_right(node.keys, key) or 1) - 1
    return 1 + at + (at + 1 < len(node.keys))
