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

    __slots__ = ("anchor", "length", "near", "work")

    def __init__(self) -> None:
        # Never handed out, so it need not be of the entries' own class.
        anchor = self.anchor = cast("E", Extent(U64_MAX + 1, U64_MAX + 1))
        anchor.red = False
        anchor.prev = anchor.next = anchor
        anchor.parent = anchor.left = anchor.right = anchor
        self.near = anchor
        """An entry, or the anchor, close to where the next search may be. The kernel has none."""
        self.length = 0
        self.work = Work()

    def __fingerprint__(self) -> object:
        """The tree; where it was searched last decides nothing."""
        return self.anchor, self.length

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
        self.work.node_visits += self._visits_down(end)
        self.work.compares += self._compares_down(end)
        while node is not anchor:
            parent = node
            here = node.end
            if end < here:
                following = node
                node = node.left
            elif end > here:
                node = node.right
            else:
                return node
        self._link(entry, parent, following)
        rotations = rebalance_after_insert(anchor, entry)
        self.work.rotations += rotations
        return None

    def insert_before(self, entry: E, following: E) -> E | None:
        """Add `entry`, which most likely belongs right before `following`, as `insert` does.

        The kernel has no such function: it goes down from the root, and what that costs is counted.
        """
        anchor = self.anchor
        end = entry.end
        previous = following.prev
        if end >= following.end or (end <= previous.end and previous is not anchor):
            return self.insert(entry)
        self.work.node_visits += self._visits_down(end)
        self.work.compares += self._compares_down(end)
        self._link(entry, following if following.left is anchor else previous, following)
        rotations = rebalance_after_insert(anchor, entry)
        self.work.rotations += rotations
        return None

    def _link(self, entry: E, parent: E, following: E) -> None:
        """Make `entry` a leaf below `parent`, which is `following` or stands right before it."""
        if parent is following:
            parent.left = entry
        else:
            parent.right = entry
        entry.parent = parent
        entry.left = entry.right = self.anchor
        previous = following.prev
        entry.prev = previous
        entry.next = following
        previous.next = following.prev = entry
        self.near = entry
        self.length += 1

    def lookup(self, end: int) -> E | None:
        """Return the entry that ends at `end` (bytes), or None (`__tree_search` without `prev_ret`)."""
        anchor = self.anchor
        node = anchor.left
        self.work.node_visits += self._visits_down(end)
        self.work.compares += self._compares_down(end)
        while node is not anchor:
            here = node.end
            if end < here:
                node = node.left
            elif end > here:
                node = node.right
            else:
                return node
        return None

    def search(self, offset: int) -> E | None:
        """Return the first entry that ends at or after `offset` (bytes), or None (`tree_search`)."""
        anchor = self.anchor
        self.work.node_visits += self._visits_of_search(offset)
        self.work.compares += self._compares_of_search(offset)
        following = self.near
        if not following.prev.end < offset <= following.end:
            following = anchor
            node = anchor.left
            while node is not anchor:
                here = node.end
                if offset < here:
                    following = node
                    node = node.left
                elif offset > here:
                    node = node.right
                else:
                    following = node
                    break
            self.near = following
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
        if entry is self.near:
            self.near = entry.next
        self.length -= 1

    def memory(self) -> Memory:
        """Return what the nodes embedded in the entries, and the root, occupy."""
        # Two children each, of which all but the root's own place hold one node.
        used = max(self.length - 1, 0)
        return Memory(self.length, RB_NODE_BYTES, RB_ROOT_BYTES, used, 2 * self.length - used)

    def validate(self) -> None:
        """Raise InvariantError if the tree breaks an invariant (invariants.py)."""
        validate_rbtree(self)

    def _way_down(self, end: int) -> Iterator[E]:
        """Go through the nodes that a search for `end` reads on its way down from the root."""
        node = self.anchor.left
        while node is not self.anchor:
            yield node
            if node.end == end:
                return
            node = node.left if end < node.end else node.right

    def _visits_down(self, end: int) -> int:
        return sum(1 for _ in self._way_down(end))

    def _compares_down(self, end: int) -> int:
        """Count one comparison where the way turns left, else two."""
        return sum(1 + (end >= node.end) for node in self._way_down(end))

    # The patch's search compares once more with the node where the way ended, and goes on with `rb_next` if
    # that lies before the offset.

    def _visits_of_search(self, offset: int) -> int:
        way = list(self._way_down(offset))
        return len(way) + (self._visits_of_next(way[-1]) if way and way[-1].end < offset else 0)

    def _compares_of_search(self, offset: int) -> int:
        way = list(self._way_down(offset))
        compares = sum(1 + (offset >= node.end) for node in way)
        if way and way[-1].end != offset:
            goes_on = way[-1].end < offset and way[-1].next is not self.anchor
            compares += 1 + goes_on
        return compares

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
