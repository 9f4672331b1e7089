# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbered invariants of a radix tree, after 1 to 3 of every index.

4. The top node has the height of the tree, each node one less than the node above; entries stand below nodes
   of height 1, or on top of a tree of height 0.
5. `used` has the bits of the slots in use, and no others.
6. No node is empty, but for the last of a branch that a failed insertion left.
7. An entry stands where the digits of its `end` lead.
8. The tree is not higher than its greatest index needs, but for what a failed insertion left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference.index.invariants import check_entries
from reference.index.radix_nodes import RADIX_TREE_MAP_SHIFT, RADIX_TREE_MAP_SIZE, RadixTreeNode
from reference.rbtree import Extent, InvariantError

if TYPE_CHECKING:
    from reference.index.radix import RadixTree

__all__ = ["validate_radix_tree"]


def validate_radix_tree(tree: RadixTree[Any]) -> None:
    """Raise InvariantError if `tree` breaks an invariant."""
    if tree.rnode is not None:
        _check_below(tree, tree.rnode, tree.height, 0)
    check_entries(list(tree), len(tree))
    _check_height(tree)


def _check_below(tree: RadixTree[Any], item: Any, height: int, first: int) -> None:
    """Check what is in a slot of a node of `height` + 1, whose indexes begin at `first`."""
    if height == 0:
        _check_place(item, first)
        return
    if not isinstance(item, RadixTreeNode) or item.height != height:
        raise InvariantError(4, f"{item} is in the place of a node of height {height}")
    _check_slots(tree, item)
    for slot in range(RADIX_TREE_MAP_SIZE):
        if item.used >> slot & 1:
            span = slot << (height - 1) * RADIX_TREE_MAP_SHIFT
            _check_below(tree, item.slots[slot], height - 1, first + span)


def _check_slots(tree: RadixTree[Any], node: RadixTreeNode) -> None:
    used = sum(1 << slot for slot, item in enumerate(node.slots) if item is not None)
    if used != node.used:
        raise InvariantError(5, f"{node} has entries or nodes in {used:#x}")
    if not used and not tree.failed_inserts:
        raise InvariantError(6, f"{node} is empty")


def _check_place(item: Any, index: int) -> None:
    if not isinstance(item, Extent):
        raise InvariantError(4, f"{item} is in the place of an entry")
    if item.end != index:
        raise InvariantError(7, f"{item} is in the slot of {index}")


def _check_height(tree: RadixTree[Any]) -> None:
    too_high = tree.height > 0 and (tree.rnode is None or tree.rnode.used == 1)
    if too_high and not tree.failed_inserts:
        raise InvariantError(8, f"the tree has height {tree.height}, but only its first slot is used")
