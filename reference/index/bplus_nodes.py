# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes of B+trees (include/linux/btree.h of the patch of 22 October 2007)."""

from __future__ import annotations

from typing import Any

__all__ = ["BTREE_ITEM_HALF", "BTREE_ITEM_MAX", "BTREE_NODE_BYTES", "BTREE_ROOT_BYTES", "BPlusNode"]

BTREE_ITEM_MAX = 16
"""Items a node; a cache line of 64 or 128 bytes has fewer than this least number."""
BTREE_ITEM_HALF = BTREE_ITEM_MAX // 2
"""Fewest items of a node that is not the root."""
BTREE_NODE_BYTES = 16 * BTREE_ITEM_MAX
"""`sizeof(struct btree_node)`: of each item, the key and the pointer, 8 bytes each."""
BTREE_ROOT_BYTES = 48
"""`sizeof(struct btree_root)`: root 8, height 4 (+ 4), mempool 8, freevec 8, gfp_mask 4 (+ 4), flush 8."""


class BPlusNode:
    """Up to 16 items in order of their keys (`struct btree_node`): children, or in a leaf entries."""

    __slots__ = ("items", "keys")

    def __init__(self, keys: list[int], items: list[Any]) -> None:
        self.keys = keys
        self.items = items

    def __repr__(self) -> str:
        return f"node with keys {self.keys}"

    def changed(self, place: slice, keys: list[int], items: list[Any]) -> BPlusNode:
        """Return a copy with `keys` and `items` in `place`; with one new item, it may be too large by one."""
        copy = BPlusNode(self.keys[:], self.items[:])
        copy.keys[place] = keys
        copy.items[place] = items
        return copy

    def joined(self, other: BPlusNode) -> BPlusNode:
        """Return a node with the items of both, which may be too many."""
        return BPlusNode(self.keys + other.keys, self.items + other.items)

    def cut(self, at: int) -> list[BPlusNode]:
        """Return two nodes, of the items before number `at` and of the rest."""
        return [BPlusNode(self.keys[:at], self.items[:at]), BPlusNode(self.keys[at:], self.items[at:])]
