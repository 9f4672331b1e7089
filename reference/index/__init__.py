# SPDX-License-Identifier: GPL-2.0-or-later
"""Ordered indexes of extents with one interface, which count their work and know their size."""

from __future__ import annotations

from reference.index.bplus import BPlusTree
from reference.index.interface import ExtentIndex
from reference.index.radix import RadixTree
from reference.index.radix_nodes import NodeSupply, OutOfNodesError
from reference.index.rbtree import RbTree
from reference.index.work import Memory, Work, counting
from reference.rbtree import U64_MAX, Extent, InvariantError

__all__ = [
    "U64_MAX",
    "BPlusTree",
    "Extent",
    "ExtentIndex",
    "InvariantError",
    "Memory",
    "NodeSupply",
    "OutOfNodesError",
    "RadixTree",
    "RbTree",
    "Work",
    "counting",
]
