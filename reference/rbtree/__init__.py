# SPDX-License-Identifier: GPL-2.0-or-later
"""Red-black trees of extents (lib/rbtree.c): what mainline's tree of states and the indexes of 2007 share."""

from __future__ import annotations

from reference.rbtree.extent import U64_MAX, Extent
from reference.rbtree.invariants import InvariantError, check_colours, check_order_of_tree
from reference.rbtree.rebalance import erase, rebalance_after_insert

__all__ = [
    "U64_MAX",
    "Extent",
    "InvariantError",
    "check_colours",
    "check_order_of_tree",
    "erase",
    "rebalance_after_insert",
]
