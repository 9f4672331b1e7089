# SPDX-License-Identifier: GPL-2.0-or-later
"""The index of the second version (24 July 2007): a red-black tree with its nodes inside the entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar, cast

from reference.index.interface import ExtentIndex
from reference.index.invariants import validate_rbtree
from reference.index.work import Memory, Work, countable
from reference.rbtree import U64_MAX, Extent, erase, rebalance_after_insert

__all__ = ["RB_NODE_BYTES", "RB_ROOT_BYTES", "RbTree"]

RB_NODE_BYTES = 24
"""`sizeof(struct rb_node)`: the parent with the colour in its low bit, right, left."""
RB_ROOT_BYTES = 8
"""`sizeof(struct rb_root)`."""

E = TypeVar("E", bound=Extent)


@countable
class RbTree(ExtentIndex[E]):
    """Entries in a red-black tree by `end` (the patch's `tree_insert`, `tree_search`, `tree_delete`).

    Next to the tree, a ring through `prev` and `next` has the entries in order, closed by `anchor`, which is
    the parent of the root and every missing child, too. The kernel has no ring: its `rb_next` and `rb_prev`
    walk the tree, and what that costs is counted.
    """

    __slots__ = ("anchor", "length", "work")

    def __init__(self) -> None:
        # Never handed out, so it need not be of the entries' own class.
        anchor = self.anchor = cast("E", Extent(U64_MAX + 1, U64_MAX + 1))
        anchor.red = False
        anchor.prev = anchor.next = anchor
        anchor.parent = anchor.left = anchor.right = anchor
        self.length = 0
        self.work = Work()

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[E]:
        anchor = self.anchor
        entry = anchor.next
        while entry is not anchor:
            yield entry
            entry = entry.next

    def insert(self, entry: E) -> E | None:
        """Add `entry`; or return the entry that has its `end` already (`tree_insert`)."""
        anchor = parent = following = self.anchor
        node = anchor.left
        end = entry.end
        while node is not anchor:
            self.work.node_visits += 1
            self.work.compares += 1 + (end >= node.end)
            parent = node
            if end < node.end:
                following = node
                node = node.left
            elif end > node.end:
                node = node.right
            else:
                return node
        if parent is following:
            parent.left = entry
        else:
            parent.right = entry
        self._link(entry, parent, following)
        rotations = rebalance_after_insert(anchor, entry)
        self.work.rotations += rotations
        return None

    def _link(self, entry: E, parent: E, following: E) -> None:
        entry.parent = parent
        entry.left = entry.right = self.anchor
        previous = following.prev
        entry.prev = previous
        entry.next = following
        previous.next = following.prev = entry
        self.length += 1

    def lookup(self, end: int) -> E | None:
        """Return the entry that ends at `end` (bytes), or None (`__tree_search` without `prev_ret`)."""
        anchor = self.anchor
        node = anchor.left
        while node is not anchor:
            self.work.node_visits += 1
            self.work.compares += 1 + (end >= node.end)
            if end < node.end:
                node = node.left
            elif end > node.end:
                node = node.right
            else:
                return node
        return None

    def search(self, offset: int) -> E | None:
        """Return the first entry that ends at or after `offset` (bytes), or None (`tree_search`)."""
        anchor = following = last = self.anchor
        node = anchor.left
        while node is not anchor:
            self.work.node_visits += 1
            self.work.compares += 1 + (offset >= node.end)
            last = node
            if offset < node.end:
                following = node
                node = node.left
            elif offset > node.end:
                node = node.right
            else:
                return node
        # The patch compares once more with the last node, and goes on with `rb_next` if it lies before.
        self.work.compares += (last is not anchor) + (last is not following is not anchor)
        self.work.node_visits += self._visits_of_next(last) if last is not following else 0
        return following if following is not anchor else None

    def next(self, entry: E) -> E | None:
        """Return the entry after `entry`, or None (`rb_next`)."""
        self.work.node_visits += self._visits_of_next(entry)
        following = entry.next
        return following if following is not self.anchor else None

    def prev(self, entry: E) -> E | None:
        """Return the entry before `entry`, or None (`rb_prev`)."""
        self.work.node_visits += self._visits_of_prev(entry)
        previous = entry.prev
        return previous if previous is not self.anchor else None

    def erase(self, entry: E) -> None:
        """Remove `entry`, which must be in the tree (`rb_erase`)."""
        # A node with two children is replaced by its successor, which is looked for.
        inner = entry.left is not self.anchor and entry.right is not self.anchor
        self.work.node_visits += self._visits_of_next(entry) if inner else 0
        rotations = erase(self.anchor, entry)
        self.work.rotations += rotations
        entry.prev.next = entry.next
        entry.next.prev = entry.prev
        self.length -= 1

    def memory(self) -> Memory:
        """Return what the nodes embedded in the entries, and the root, occupy."""
        # Two children each, of which all but the root's own place hold one node.
        used = max(self.length - 1, 0)
        return Memory(self.length, RB_NODE_BYTES, RB_ROOT_BYTES, used, 2 * self.length - used)

    def validate(self) -> None:
        """Raise InvariantError if the tree breaks an invariant (invariants.py)."""
        validate_rbtree(self)

    def _visits_of_next(self, node: E) -> int:
        """Count the nodes that `rb_next` of lib/rbtree.c reads after `node` itself."""
        anchor = self.anchor
        visits = 0
        if node.right is not anchor:
            node = node.right
            while node is not anchor:
                visits += 1
                node = node.left
            return visits
        while node.parent is not anchor:
            visits += 1
            if node is not node.parent.right:
                break
            node = node.parent
        return visits

    def _visits_of_prev(self, node: E) -> int:
        """Count the nodes that `rb_prev` of lib/rbtree.c reads after `node` itself."""
        anchor = self.anchor
        visits = 0
        if node.left is not anchor:
            node = node.left
            while node is not anchor:
                visits += 1
                node = node.right
            return visits
        while node.parent is not anchor:
            visits += 1
            if node is not node.parent.left:
                break
            node = node.parent
        return visits
