# SPDX-License-Identifier: GPL-2.0-or-later
"""Synthetic trees of any size as arrays: what `synthetic` computes block by block, for all blocks at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from reference.readahead.chunks import STRIPE_LEN, ChunkMap, Profile
from reference.readahead.permutation import MULTIPLIERS, Permutation
from reference.readahead.scale.trees import Trees
from reference.readahead.synthetic import SyntheticTree

__all__ = ["grow"]

_U64_MAX = 2**64 - 1

Numbers = NDArray[np.int64]


def grow(trees: Sequence[SyntheticTree], chunks: ChunkMap) -> Trees:
    """Return `trees`, all in the chunks of `chunks` (one `SyntheticTree`, or those of a `Forest`).

    Devices are those of `chunks` in the order of their ids.
    """
    places = np.concatenate([_places(tree) for tree in trees])
    order = np.argsort(places)
    places = places[order]
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    first_child, children, child = _pointers(trees)
    device, physical = _copies(chunks, places)
    chunk, within = np.divmod(places, chunks.blocks_per_chunk)
    _, group_first, group = np.unique(chunk, return_index=True, return_inverse=True)
    roots = np.cumsum([tree.nodes for tree in trees]) - 1
    return Trees(
        chunks.bytenr(0) + chunk * (chunks.chunk_bytes + chunks.data_bytes) + within * chunks.nodesize,
        first_child[order],
        children[order],
        number[child],
        np.ones(len(child), np.uint8),
        device,
        physical,
        group.astype(np.int32),
        group_first.astype(np.int32),
        number[roots],
        np.ones(len(trees), np.uint8),
    )


def _places(tree: SyntheticTree) -> Numbers:
    """Return which block of metadata each block of `tree` is (`_block`), leaves first, the root last."""
    shape = tree.shape
    groups = _permuted(tree.groups)
    generations, leaves = _generations(tree, groups), np.arange(shape.leaves)
    area, place = np.divmod(groups[leaves // shape.run], tree.area_groups)
    rewritten = tree.nodes + area * tree.area + place * shape.run + leaves % shape.run
    found = [np.where(generations == 1, leaves, rewritten)]
    area, place = np.divmod(_permuted(tree.inner), tree.area_inner)
    inner = tree.nodes + area * tree.area + tree.area_groups * shape.run + place
    for level in range(1, len(tree.levels)):
        generations = np.maximum.reduceat(generations, np.arange(0, tree.levels[level - 1], shape.fanout))
        fresh = np.arange(tree.before[level], tree.before[level + 1])
        found.append(np.where(generations == 1, fresh, inner[fresh - shape.leaves]))
    return shape.first_block + np.concatenate(found)


def _generations(tree: SyntheticTree, groups: Numbers) -> Numbers:
    """Return the generation of each leaf."""
    mixed = _scrambled(np.arange(tree.groups.size, dtype=np.uint64), tree.shape.seed + 2)
    # A threshold of 2^64 does not fit: below it is all.
    aged = mixed < np.uint64(tree.threshold) if tree.threshold <= _U64_MAX else np.ones(len(mixed), np.bool_)
    generations = np.where(aged, 2 + groups // tree.area_groups, 1)
    return np.repeat(generations, tree.shape.run)[: tree.shape.leaves]


def _permuted(permutation: Permutation) -> Numbers:
    """Return `permutation.place` of all numbers.

    Products overflow, but of them only lower bits are kept.
    """
    place = np.arange(permutation.size, dtype=np.int64)
    outside = np.arange(permutation.size)
    while len(outside):
        number = (place[outside] + permutation.added) & permutation.mask
        for step in permutation.steps:
            number = (number * step) & permutation.mask
            number ^= number >> permutation.shift
        place[outside] = number
        outside = outside[number >= permutation.size]
    return place


def _scrambled(numbers: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Return `scramble` of all `numbers`; products overflow as they shall."""
    mixed = numbers * np.uint64(MULTIPLIERS[0]) + np.uint64(seed * MULTIPLIERS[1] & _U64_MAX)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(MULTIPLIERS[2])
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(MULTIPLIERS[3])
    return mixed ^ mixed >> np.uint64(31)


def _pointers(trees: Sequence[SyntheticTree]) -> tuple[NDArray[np.int32], NDArray[np.int32], Numbers]:
    """Return where the children of each block begin, how many it has, and all children.

    Blocks are in the order of `_places`. In that order children follow one another as their parents do.
    """
    counts = np.concatenate([_children(tree) for tree in trees])
    behind = np.cumsum([0, *(tree.nodes for tree in trees)])
    child = np.concatenate([np.arange(first, last - 1) for first, last in pairwise(behind)])
    return (np.cumsum(counts) - counts).astype(np.int32), counts.astype(np.int32), child


def _children(tree: SyntheticTree) -> Numbers:
    counts = [np.zeros(tree.shape.leaves, np.int64)]
    for below, level in pairwise(tree.levels):
        counts.append(np.full(level, tree.shape.fanout))
        counts[-1][-1] = below - (level - 1) * tree.shape.fanout
    return np.concatenate(counts)


def _copies(chunks: ChunkMap, places: Numbers) -> tuple[NDArray[np.int16], Numbers]:
    """Return device and physical address of each copy of each block (`ChunkMap.map_block`)."""
    chunk, block = np.divmod(places, chunks.blocks_per_chunk)
    within = block * chunks.nodesize
    copies = (_striped if chunks.profile.striped else _whole)(chunks, chunk, within)
    device = np.stack([device for device, _ in copies], axis=1).astype(np.int16)
    return device, np.stack([physical for _, physical in copies], axis=1)


def _whole(chunks: ChunkMap, chunk: Numbers, within: Numbers) -> list[tuple[Numbers, Numbers]]:
    copies, found = chunks.profile.copies, []
    for copy in range(copies):
        if chunks.profile is Profile.DUP:
            device, turn = chunk % chunks.devices, chunk // chunks.devices * 2 + copy
        else:
            turn, device = np.divmod(chunk * copies + copy, chunks.devices)
        found.append((device, chunks.data_bytes + turn * (chunks.chunk_bytes + chunks.data_bytes) + within))
    return found


def _striped(chunks: ChunkMap, chunk: Numbers, within: Numbers) -> list[tuple[Numbers, Numbers]]:
    copies = chunks.profile.copies
    width = chunks.devices // copies
    row, column = np.divmod(within // STRIPE_LEN, width)
    part = chunks.chunk_bytes // width
    physical = chunks.data_bytes + chunk * (part + chunks.data_bytes) + row * STRIPE_LEN + within % STRIPE_LEN
    return [(column * copies + copy, physical) for copy in range(copies)]
