# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes of radix trees and where they come from: the slab and each CPU's preloaded nodes (lib/radix-tree.c).

Linux 2.6.22: an insertion asks the slab first, and takes a preloaded node only where the slab has none. Since
2.6.25 it takes preloaded ones first.
"""

from __future__ import annotations

from errno import ENOMEM
from typing import Any

__all__ = [
    "HEIGHT_TO_MAXINDEX",
    "RADIX_TREE_MAP_MASK",
    "RADIX_TREE_MAP_SHIFT",
    "RADIX_TREE_MAP_SIZE",
    "RADIX_TREE_MAX_PATH",
    "RADIX_TREE_NODE_BYTES",
    "RADIX_TREE_ROOT_BYTES",
    "NodeSupply",
    "OutOfNodesError",
    "RadixTreeNode",
]

RADIX_TREE_MAP_SHIFT = 6
RADIX_TREE_MAP_SIZE = 1 << RADIX_TREE_MAP_SHIFT
RADIX_TREE_MAP_MASK = RADIX_TREE_MAP_SIZE - 1
_RADIX_TREE_INDEX_BITS = 64
RADIX_TREE_MAX_PATH = _RADIX_TREE_INDEX_BITS // RADIX_TREE_MAP_SHIFT + 2
"""Nodes that a CPU keeps preloaded. One more than the highest tree has levels: 11 of 6 bits hold 64 bits."""
RADIX_TREE_NODE_BYTES = 552
"""`sizeof(struct radix_tree_node)`: height 4, count 4, rcu_head 16, 64 slots of 8, 2 tags of 8."""
RADIX_TREE_ROOT_BYTES = 16
"""`sizeof(struct radix_tree_root)`: height 4, gfp_mask 4, rnode 8."""


def _maxindex(height: int) -> int:
    return (1 << min(height * RADIX_TREE_MAP_SHIFT, _RADIX_TREE_INDEX_BITS)) - 1


HEIGHT_TO_MAXINDEX = tuple(_maxindex(height) for height in range(RADIX_TREE_MAX_PATH))
"""The greatest index of a tree of each height (`radix_tree_maxindex`)."""


class OutOfNodesError(Exception):
    """There was no node for an insertion: the kernel's -ENOMEM."""


class RadixTreeNode:
    """64 slots (`struct radix_tree_node`): nodes of the next level, or at height 1 entries.

    `used` has a bit for each slot in use. The kernel has their number, `count`, and looks at them one by one.
    """

    __slots__ = ("height", "slots", "used")

    def __init__(self, height: int) -> None:
        self.height = height
        self.used = 0
        self.slots: list[Any] = [None] * RADIX_TREE_MAP_SIZE

    def __repr__(self) -> str:
        return f"node of height {self.height} with slots {self.used:#x}"


class NodeSupply:
    """The slab of nodes and the nodes preloaded on each CPU (`radix_tree_preloads`).

    `slab_empty` makes every allocation from the slab fail. `preempt_count` is that of the running task:
    `radix_tree_preload` leaves it raised by one if it succeeds, `radix_tree_preload_end` lowers it.
    """

    __slots__ = ("cpu", "preempt_count", "preloads", "slab_empty")

    def __init__(self, cpus: int = 1) -> None:
        self.preloads = [0] * cpus
        self.cpu = 0
        self.preempt_count = 0
        self.slab_empty = False

    def radix_tree_preload(self) -> int:
        """Fill the preloaded nodes of this CPU and return 0 with preemption off, or -ENOMEM with it on.

        The kernel may sleep here, and go on on another CPU, as often as it allocates.
        """
        if self.preloads[self.cpu] < RADIX_TREE_MAX_PATH:
            if self.slab_empty:
                return -ENOMEM
            self.preloads[self.cpu] = RADIX_TREE_MAX_PATH
        self.preempt_count += 1
        return 0

    def radix_tree_preload_end(self) -> None:
        """Turn preemption on again; what is left stays preloaded. A wrong call leaves a negative count."""
        self.preempt_count -= 1

    def radix_tree_node_alloc(self, height: int) -> RadixTreeNode:
        """Return a new node; OutOfNodesError if the slab is empty and nothing is preloaded.

        For trees with GFP_ATOMIC, which those of the patch are: others may not use preloaded nodes.
        """
        if self.slab_empty:
            if not self.preloads[self.cpu]:
                raise OutOfNodesError("no radix tree node is left: -ENOMEM")
            self.preloads[self.cpu] -= 1
        return RadixTreeNode(height)
