# SPDX-License-Identifier: GPL-2.0-or-later
"""What makes a red-black tree one: its order, its links and its colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from reference.rbtree.extent import Extent

__all__ = ["InvariantError", "check_colours", "check_order_of_tree"]

N = TypeVar("N", bound=Extent)


class InvariantError(AssertionError):
    """A structure breaks the invariant `number`; the message names the object."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"invariant {number}: {message}")
        self.number = number


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
