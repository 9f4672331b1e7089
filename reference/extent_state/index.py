# SPDX-License-Identifier: GPL-2.0-or-later
"""The ordered set of states: found by offset, walked in order, shaped like the kernel's tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from reference.extent_state.state import U64_MAX, ExtentState
from reference.rbtree.rebalance import erase, rebalance_after_insert

__all__ = ["StateIndex"]


class StateIndex:
    """States in order of their offsets.

    Three views of the same states, kept together by `add_before` and `remove`: a ring through `prev` and
    `next` (the next state is one step away), a dict by start (most lookups hit a start exactly), and the
    red-black tree for all other lookups. One `anchor` closes the ring, is the parent of the root and stands
    for NULL; its start lies beyond every offset and its bits equal nobody's, so comparisons with it fail by
    themselves.
    """

    __slots__ = ("anchor", "by_start")

    def __init__(self) -> None:
        self.by_start: dict[int, ExtentState] = {}
        self.anchor = ExtentState(U64_MAX + 1, -1, -1, 0)
        self.anchor.red = False
        self._unlink_all()

    def _unlink_all(self) -> None:
        anchor = self.anchor
        anchor.prev = anchor.next = anchor
        anchor.parent = anchor.left = anchor.right = anchor

    def __len__(self) -> int:
        return len(self.by_start)

    def __bool__(self) -> bool:
        # An empty tree is a tree: `trees.get(pointer) or ...` must not take it for a missing one.
        return True

    def __iter__(self) -> Iterator[ExtentState]:
        anchor = self.anchor
        state = anchor.next
        while state is not anchor:
            yield state
            state = state.next

    def search(self, offset: int) -> ExtentState:
        """Return the first state that ends at or after `offset` (bytes), or the anchor (`tree_search`)."""
        anchor = following = self.anchor
        node = anchor.left
        while node is not anchor:
            if offset < node.start:
                following = node
                node = node.left
            elif offset > node.end:
                node = node.right
            else:
                return node
        return following

    def add_before(self, state: ExtentState, following: ExtentState) -> None:
        """Link `state` in front of `following`; the anchor as `following` puts it last.

        An ordered tree has one leaf place for it: left of `following`, or, if that is taken, right of the
        state before it, which then is the deeper of the two.
        """
        anchor = self.anchor
        previous = following.prev
        state.prev = previous
        state.next = following
        previous.next = following.prev = state
        if following.left is anchor:
            following.left = state
            state.parent = following
        else:
            previous.right = state
            state.parent = previous
        state.left = state.right = anchor
        self.by_start[state.start] = state
        rebalance_after_insert(anchor, state)

    def remove(self, state: ExtentState) -> None:
        """Unlink `state` (`rb_erase`)."""
        erase(self.anchor, state)
        state.prev.next = state.next
        state.next.prev = state.prev
        del self.by_start[state.start]

    def move_start(self, state: ExtentState, start: int) -> None:
        """Let `state` begin at `start`, which keeps its place among the others."""
        del self.by_start[state.start]
        state.start = start
        self.by_start[start] = state

    def postorder(self) -> list[ExtentState]:
        """Return the states children first, left before right (`rbtree_postorder_for_each_entry_safe`)."""
        # Node, right subtree, left subtree: that is the postorder backwards.
        backwards = []
        waiting = [self.anchor.left]
        while waiting:
            node = waiting.pop()
            if node is not self.anchor:
                backwards.append(node)
                waiting += (node.left, node.right)
        return backwards[::-1]

    def clear(self) -> None:
        """Forget all states."""
        self.by_start.clear()
        self._unlink_all()

    def copy_states(self, other: Self) -> None:
        """Fill this empty index with copies of the states of `other`, in the same shape."""
        twin = {state: ExtentState(state.start, state.end, state.state, state.ident) for state in other}
        twin[other.anchor] = self.anchor
        for state, new in twin.items():
            new.prev, new.next = twin[state.prev], twin[state.next]
            new.left, new.right = twin[state.left], twin[state.right]
            new.red = state.red
            new.parent = self.anchor if new is self.anchor else twin[state.parent]
        self.by_start = {state.start: state for state in self}
