# SPDX-License-Identifier: GPL-2.0-or-later
"""Making the trees of a version (`extent_map_tree_init`)."""

from __future__ import annotations

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.cache import Cache
from reference.extent_map.maps import Maps
from reference.extent_map.objects import ExtentMap, ExtentState
from reference.extent_map.radix import RadixExtentMapTree
from reference.extent_map.radix_states import RadixStates
from reference.extent_map.rbtree import RbtreeExtentMapTree
from reference.extent_map.rbtree_states import RbtreeStates
from reference.extent_map.states import States
from reference.extent_map.tree import ExtentMapTree
from reference.index import NodeSupply, RadixTree, RbTree

__all__ = ["extent_map_tree", "state_tree"]


def extent_map_tree(
    behaviour: Behaviour = Behaviour.corrected_rbtree, mapping: object = None, *, strict: bool = False
) -> ExtentMapTree:
    """Return an empty tree of the version and defects that `behaviour` says, which accounts for its memory.

    `strict` raises Bug where a kernel with CONFIG_PREEMPT and debugging would complain (atomicity.py).

    >>> from reference.extent_map import EXTENT_LOCKED, GFP_NOFS
    >>> from reference.machine import run_alone
    >>> tree = extent_map_tree()
    >>> run_alone(tree.lock_extent(0, 4095, GFP_NOFS)), list(tree.states)
    (0, [state [0, 4095] LOCKED])
    >>> run_alone(tree.unlock_extent(0, 4095, GFP_NOFS)) == EXTENT_LOCKED, len(tree.states)
    (True, 0)
    >>> tree.check_quiet()
    """
    states = Cache("extent_state", ExtentState)
    maps = Cache("extent_map", ExtentMap)
    if behaviour.structure == "rbtree":
        return RbtreeExtentMapTree(
            behaviour,
            RbtreeStates(RbTree(), behaviour, states),
            Maps(RbTree(), behaviour, maps),
            mapping,
            strict=strict,
        )
    supply = NodeSupply()
    return RadixExtentMapTree(
        behaviour,
        RadixStates(RadixTree(supply), behaviour, states),
        Maps(RadixTree(supply), behaviour, maps),
        supply,
        mapping,
        strict=strict,
    )


def state_tree(behaviour: Behaviour = Behaviour.corrected_rbtree) -> States:
    """Return an empty state tree alone, without lock or accounting of memory: for whole calls at once, fast.

    >>> from reference.extent_map import EXTENT_DIRTY
    >>> states = state_tree(Behaviour.corrected_radix)
    >>> states.set_extent_bit(0, 4095, EXTENT_DIRTY)
    >>> states.states()
    [(0, 4095, 1)]
    """
    if behaviour.structure == "rbtree":
        return RbtreeStates(RbTree(), behaviour)
    return RadixStates(RadixTree(), behaviour)
