# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbered invariants that every index has, and those of red-black trees.

1. The `end` of an entry is in [0, U64_MAX].
2. Entries are in order of their ends, no two of which are equal.
3. The length is the number of entries.

Then those of the structure; of a red-black tree:

4. `prev` mirrors `next`, all around the ring.
5. The tree holds the entries in the order of the ring, and children know their parents.
6. The root is black, no red node has a red child, every path down has the same number of black nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from reference.index.extent import U64_MAX, Extent

if TYPE_CHECKING:
    from reference.index.rbtree import RbTree

__all__ = [
    "InvariantError",
    "check_colours",
    "check_entries",
    "check_order_of_tree",
    "validate_rbtree",
]

N = TypeVar("N", bound=Extent)


class InvariantError(AssertionError):
    """A structure breaks the invariant `number`; the message names the object."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"invariant {number}: {message}")
        self.number = number


def check_entries(entries: Sequence[Extent], length: int) -> None:
    """Raise InvariantError for 1 to 3; `length` is what the index says."""
    for entry in entries:
        if not 0 <= entry.end <= U64_MAX:
            raise InvariantError(1, f"{entry} does not end at an offset")
    for before, after in pairwise(entries):
        if before.end >= after.end:
            raise InvariantError(2, f"{after} comes after {before}")
    if len(entries) != length:
        raise InvariantError(3, f"there are {len(entries)} entries, the length is {length}")


def validate_rbtree(tree: RbTree[Any]) -> None:
    """Raise InvariantError if `tree` breaks an invariant."""
    _check_ring(tree)
    entries = list(tree)
    check_entries(entries, len(tree))
    check_order_of_tree(tree.anchor, entries, 5)
    check_colours(tree.anchor, 6)


def _check_ring(tree: RbTree[Any]) -> None:
    entry = tree.anchor
    for _ in range(len(tree) + 1):
        if entry.next.prev is not entry:
            raise InvariantError(4, f"{entry.next} does not point back to {entry}")
        entry = entry.next
        if entry is tree.anchor:
            return
    raise InvariantError(3, f"the ring goes on after {entry}, the length is {len(tree)}")


def check_order_of_tree(anchor: N, entries: Sequence[N], number: int) -> None:
    """Raise InvariantError `number` if the tree below `anchor` is not `entries`, or a link is wrong."""
    in_order: list[N] = []
    path: list[N] = []
    node = anchor.left
    while path or node is not anchor:
        while node is not anchor:
            path.append(node)
            node = node.left
        node = path.pop()
        in_order.append(node)
        for child in (node.left, node.right):
            if child is not anchor and child.parent is not node:
                raise InvariantError(number, f"{child} does not know its parent {node}")
        node = node.right
    for found, expected in zip(in_order, entries, strict=False):
        if found is not expected:
            raise InvariantError(number, f"the tree has {found} in the place of {expected}")
    if len(in_order) != len(entries):
        raise InvariantError(number, f"the tree has {len(in_order)} entries, the ring {len(entries)}")


def check_colours(anchor: N, number: int) -> None:
    """Raise InvariantError `number` if the tree below `anchor` is not a red-black tree by its colours."""
    if anchor.left.red:
        raise InvariantError(number, f"the root {anchor.left} is red")
    depths: set[int] = set()
    waiting = [(anchor.left, 0)]
    while waiting:
        node, black = waiting.pop()
        if node is anchor:
            depths.add(black)
            continue
        if node.red and (node.left.red or node.right.red):
            raise InvariantError(number, f"{node} is red and has a red child")
        waiting += ((child, black + (not node.red)) for child in (node.left, node.right))
    if len(depths) > 1:
        raise InvariantError(number, f"paths below the root {anchor.left} have {sorted(depths)} black nodes")
