# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees of blocks as arrays: all that the engine and the walk ask a `Source` for.

Blocks are numbered from 0 in the order of their logical addresses, devices in the order in which the engine
asks them for reads, block groups in the order of their starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.readahead.source import Node, Root, Source

__all__ = ["NONE", "Trees", "flatten"]

NONE = -1
"""No block, no device, no group."""


class Trees(NamedTuple):
    """All blocks of some trees."""

    logical: NDArray[np.int64]
    """The address of each block, ascending, bytes."""
    first_child: NDArray[np.int32]
    """Where the children of each block begin in `child`."""
    children: NDArray[np.int32]
    """How many children each block has; leaves have none."""
    child: NDArray[np.int32]
    believed: NDArray[np.uint8]
    """For each of `child`, whether it has the generation that its parent says."""
    device: NDArray[np.int16]
    """The device of each copy of each block; NONE behind the last copy."""
    physical: NDArray[np.int64]
    """Where each copy is, bytes."""
    group: NDArray[np.int32]
    """The block group of each block, or NONE."""
    group_first: NDArray[np.int32]
    """The first block in or behind each group."""
    root: NDArray[np.int32]
    """The root of each tree."""
    root_believed: NDArray[np.uint8]


def flatten(source: Source, roots: Sequence[Root], devids: Sequence[int]) -> Trees:
    """Return what is below `roots`; a block may be in several trees, but only once in each.

    ValueError if a block has two parents in one tree.
    """
    nodes: dict[int, Node] = {}
    for root in roots:
        nodes.update(_below(source, root))
    logical = sorted(nodes)
    number = {bytenr: block for block, bytenr in enumerate(logical)}
    inner = [nodes[bytenr] if nodes[bytenr].level else None for bytenr in logical]
    children = [len(node.blockptrs) if node else 0 for node in inner]
    pointers = [
        (number[bytenr], nodes[bytenr].generation == generation)
        for node in inner
        if node
        for bytenr, generation in zip(node.blockptrs, node.ptr_generations, strict=True)
    ]
    device, physical = _copies(source, logical, devids)
    group, group_first = _groups(source, logical)
    return Trees(
        np.array(logical, np.int64),
        np.cumsum([0, *children[:-1]], dtype=np.int32),
        np.array(children, np.int32),
        np.array([block for block, _ in pointers], np.int32),
        np.array([believed for _, believed in pointers], np.uint8),
        device,
        physical,
        group,
        group_first,
        np.array([number[root.bytenr] for root in roots], np.int32),
        np.array([nodes[root.bytenr].generation == root.generation for root in roots], np.uint8),
    )


def _below(source: Source, root: Root) -> dict[int, Node]:
    found: dict[int, Node] = {}
    waiting = [root.bytenr]
    while waiting:
        node = source.node(waiting.pop())
        if node.bytenr in found:
            raise ValueError(f"block {node.bytenr} has two parents in the tree of {root.bytenr}")
        found[node.bytenr] = node
        if node.level:
            waiting += node.blockptrs
    return found


def _copies(
    source: Source, logical: list[int], devids: Sequence[int]
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    mappings = [source.map_block(bytenr) for bytenr in logical]
    stripes = [
        mapping.stripes if mapping and mapping.length >= source.nodesize else () for mapping in mappings
    ]
    most = max(1, *(len(copies) for copies in stripes))
    number = {devid: device for device, devid in enumerate(devids)}
    device = np.full((len(logical), most), NONE, np.int16)
    physical = np.zeros((len(logical), most), np.int64)
    for block, copies in enumerate(stripes):
        for copy, stripe in enumerate(copies):
            device[block, copy] = number[stripe.devid]
            physical[block, copy] = stripe.physical
    return device, physical


def _groups(source: Source, logical: list[int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    found = [source.lookup_block_group(bytenr) for bytenr in logical]
    starts = sorted({group.start for group in found if group})
    number = {start: group for group, start in enumerate(starts)}
    group = np.array([number[group.start] if group else NONE for group in found], np.int32)
    return group, np.searchsorted(np.array(logical), np.array(starts)).astype(np.int32)
