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
from typing import TYPE_CHECKING, Any

from reference.rbtree import U64_MAX, Extent, InvariantError, check_colours, check_order_of_tree

if TYPE_CHECKING:
    from reference.index.rbtree import RbTree

__all__ = ["check_entries", "validate_rbtree"]


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
