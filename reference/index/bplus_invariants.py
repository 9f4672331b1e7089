# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbered invariants of a B+tree, after 1 to 3 of every index.

4. All leaves are at the height 1 of the tree's height; items of leaves are entries, of inner nodes nodes.
5. A node has as many keys as items: 8 to 16, of the root at least one if it is a leaf, otherwise two.
6. The key of an entry is its `end`, that of a node the first key in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference.index.bplus_nodes import BTREE_ITEM_HALF, BTREE_ITEM_MAX, BPlusNode
from reference.index.invariants import check_entries
from reference.rbtree import Extent, InvariantError

if TYPE_CHECKING:
    from reference.index.bplus import BPlusTree

__all__ = ["validate_bplus_tree"]


def validate_bplus_tree(tree: BPlusTree[Any]) -> None:
    """Raise InvariantError if `tree` breaks an invariant."""
    if (tree.root is None) != (tree.height == 0):
        raise InvariantError(4, f"the root is {tree.root}, the height {tree.height}")
    for node, height in tree.nodes():
        least = BTREE_ITEM_HALF if node is not tree.root else 1 if height == 1 else 2
        _check_size(node, least)
        for key, item in zip(node.keys, node.items, strict=True):
            _check_item(key, item, height)
    check_entries(list(tree), len(tree))


def _check_size(node: BPlusNode, least: int) -> None:
    if len(node.keys) != len(node.items):
        raise InvariantError(5, f"{node} has {len(node.items)} items")
    if not least <= len(node.keys) <= BTREE_ITEM_MAX:
        raise InvariantError(5, f"{node} has not between {least} and {BTREE_ITEM_MAX} items")


def _check_item(key: int, item: Any, height: int) -> None:
    if not isinstance(item, Extent if height == 1 else BPlusNode):
        raise InvariantError(4, f"{item} is in a node of height {height}")
    if key != (item.end if isinstance(item, Extent) else item.keys[0]):
        raise InvariantError(6, f"{item} has the key {key}")
