# SPDX-License-Identifier: GPL-2.0-or-later
"""Traditional walks of whole trees (`reference.readahead.walk`) in arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.readahead.scale.disks import NEVER, Disks, complete, first_due, submit
from reference.readahead.scale.jit import compiled, compiled_part, whole
from reference.readahead.scale.trees import NONE, Trees

__all__ = ["Walks", "make_walks", "run_walks"]

MAX_WALKS = 8
"""A bit for each in a byte."""


class Walks(NamedTuple):
    """Several walks, and what all of them have in memory."""

    trees: Trees
    disks: Disks
    cpu_ns: int
    busy_until: NDArray[np.int64]
    """When each walk's processor is done with a block; NEVER while it has none."""
    finished_ns: NDArray[np.int64]
    root: NDArray[np.int32]
    pid: NDArray[np.int32]
    path: NDArray[np.int32]
    """By walk and depth, the block."""
    slot: NDArray[np.int32]
    """By walk and depth, how many of its children the walk has been to."""
    depth: NDArray[np.int32]
    """How many blocks each path has; -1 before the walk begins."""
    in_memory: NDArray[np.bool_]
    readers: NDArray[np.uint8]
    """Which walks wait for a block that is being read."""


def make_walks(trees: Trees, disks: Disks, wanted: Sequence[int], pids: Sequence[int], cpu_ns: int) -> Walks:
    """Return walks of the trees `wanted` that have not begun; ValueError if they are too many."""
    if len(wanted) > MAX_WALKS:
        raise ValueError(f"at most {MAX_WALKS} walks at once")
    walks, blocks = len(wanted), len(trees.logical)
    depth = max(_depth(trees, int(root)) for root in trees.root)
    return Walks(
        trees,
        disks,
        cpu_ns,
        np.full(walks, NEVER, np.int64),
        np.zeros(walks, np.int64),
        trees.root[list(wanted)],
        np.array(pids, np.int32),
        np.zeros((walks, depth), np.int32),
        np.zeros((walks, depth), np.int32),
        np.full(walks, -1, np.int32),
        np.zeros(blocks, np.bool_),
        np.zeros(blocks, np.uint8),
    )


def _depth(trees: Trees, block: int) -> int:
    """Return how many levels there are from `block` down; all leaves of a tree are equally deep."""
    depth = 1
    while trees.children[block]:
        block = int(trees.child[trees.first_child[block]])
        depth += 1
    return depth


@compiled
def run_walks(walks: Walks) -> None:
    """Let time go by until all walks are done."""
    disks = walks.disks
    now_ns = whole(0)
    for number in range(len(walks.root)):
        _next_block(walks, now_ns, number)
    while True:
        disk_ns, device = first_due(disks)
        number = int(np.argmin(walks.busy_until))
        now_ns = min(disk_ns, whole(walks.busy_until[number]))
        if now_ns == NEVER:
            return
        if disk_ns == now_ns:
            block = whole(disks.request[complete(disks, walks.trees, device)].block)
            walks.in_memory[block] = True
            for reader in range(len(walks.root)):
                if walks.readers[block] >> reader & 1:
                    walks.busy_until[reader] = now_ns + walks.cpu_ns
        else:
            walks.busy_until[number] = NEVER
            _next_block(walks, now_ns, number)


@compiled_part
def _next_block(walks: Walks, now_ns: int, number: int) -> None:
    """Let a walk go on to its next block, which is in memory, being read, or to be read; or finish it."""
    block = _advance(walks, number)
    if block == NONE:
        walks.finished_ns[number] = now_ns
    elif walks.in_memory[block]:
        walks.busy_until[number] = now_ns + walks.cpu_ns
    else:
        if not walks.readers[block]:
            submit(walks.disks, walks.trees, now_ns, block, _copy(walks, number, block))
        walks.readers[block] |= 1 << number


@compiled_part
def _advance(walks: Walks, number: int) -> int:
    """Return the next block of a walk: each before its children, children in order; NONE at the end."""
    trees, path, slot = walks.trees, walks.path[number], walks.slot[number]
    if walks.depth[number] < 0:
        walks.depth[number] = 0
        return _descend(walks, number, whole(walks.root[number]))
    while walks.depth[number]:
        last = walks.depth[number] - 1
        block = path[last]
        if slot[last] < trees.children[block]:
            slot[last] += 1
            return _descend(walks, number, whole(trees.child[trees.first_child[block] + slot[last] - 1]))
        walks.depth[number] = last
    return NONE


@compiled_part
def _descend(walks: Walks, number: int, block: int) -> int:
    walks.path[number, walks.depth[number]] = block
    walks.slot[number, walks.depth[number]] = 0
    walks.depth[number] += 1
    return block


@compiled_part
def _copy(walks: Walks, number: int, block: int) -> int:
    """Return which copy the process of a walk reads (`find_live_mirror`)."""
    copies = 0
    while copies < walks.trees.device.shape[1] and walks.trees.device[block, copies] != NONE:
        copies += 1
    return int(walks.pid[number] % copies)
