# SPDX-License-Identifier: GPL-2.0-or-later
"""Readaheads or walks of whole trees over disks in virtual time (`reference.readahead.timed`) in arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.disks import Policy, RotationalConstants, SsdConstants
from reference.machine import Deadlock
from reference.readahead.behaviour import Behaviour
from reference.readahead.scale.disks import NEVER, Disks, complete, due, make_disks
from reference.readahead.scale.jit import compiled, compiled_part
from reference.readahead.scale.machine import (
    Engine,
    btree_readahead_hook,
    btrfs_reada_add,
    make_engine,
    start_again,
    work,
)
from reference.readahead.scale.trees import NONE, Trees
from reference.readahead.scale.walks import Walks, make_walks, next_block
from reference.readahead.timed import CPU_NS_PER_BLOCK, WAIT_NS

__all__ = ["Setup", "Simulated", "simulate_readahead", "simulate_walk"]


@dataclass(frozen=True)
class Setup:
    """What trees are read from, and what a processor has to do."""

    devices: int
    constants: RotationalConstants | SsdConstants
    """Of each of them."""
    nodesize: int
    """Bytes."""
    host: Policy = Policy.C_LOOK
    drive: Policy = Policy.SHORTEST
    queue_depth: int | None = None
    """Commands that a disk takes at a time; None: as many as its constants say."""
    cpu_ns: int = CPU_NS_PER_BLOCK
    """For each block."""


@dataclass(frozen=True)
class Simulated:
    """What came of it."""

    finished_ns: tuple[int, ...]
    """When each readahead or walk was done."""
    requests: NDArray[Any]
    """All reads (`scale.disks.REQUEST`), in the order in which they were submitted."""
    picked: NDArray[np.int32]
    """Device and group (or NONE) of the first picks of a zone, as many as were to be kept."""

    @property
    def seconds(self) -> float:
        """How long it took until all was done."""
        return max(self.finished_ns) / 1e9

    @property
    def blocks(self) -> int:
        """Blocks that were read from disks."""
        return len(self.requests)


def simulate_readahead(
    trees: Trees,
    setup: Setup,
    behaviour: Behaviour,
    wanted: Sequence[int] = (0,),
    *,
    keeps_blocks: bool = True,
    picks_kept: int = 0,
) -> Simulated:
    """Read ahead the trees `wanted` (numbers of roots of `trees`), all at once, and wait for them.

    ValueError if a root cannot be read ahead, Deadlock if the engine stops before it is done.
    """
    engine = make_engine(
        trees, setup.devices, behaviour, len(wanted), keeps_blocks=keeps_blocks, picks_kept=picks_kept
    )
    disks = _disks(trees, setup, 1 if keeps_blocks else len(wanted))
    finished = np.zeros(len(wanted), np.int64)
    wait_ns = WAIT_NS if behaviour.wait_restarts else NEVER
    for number, tree in enumerate(wanted):
        if not btrfs_reada_add(engine, disks, 0, number, tree):
            raise ValueError(f"the engine cannot read ahead from the root of tree {tree}")
    if not _run_readahead(engine, disks, setup.cpu_ns, wait_ns, finished):
        raise Deadlock("readaheads wait for blocks that nobody reads")
    picked = engine.picked[: engine.works[0]["picks"]]
    return Simulated(tuple(finished.tolist()), disks.request[: disks.requests[0]], picked)


def simulate_walk(
    trees: Trees, setup: Setup, wanted: Sequence[int] = (0,), pids: Sequence[int] | None = None
) -> Simulated:
    """Walk over the trees `wanted` at the same time, each in a process, which are `pids` (default: all 0).

    ValueError if a block is in no chunk.
    """
    if (trees.device[:, 0] == NONE).any():
        raise ValueError(f"no chunk has the block at {trees.logical[trees.device[:, 0] == NONE][0]}")
    disks = _disks(trees, setup, 1)
    finished = np.zeros(len(wanted), np.int64)
    walks = make_walks(trees, wanted, pids or [0] * len(wanted))
    _run_walks(walks, disks, setup.cpu_ns, finished)
    return Simulated(
        tuple(finished.tolist()), disks.request[: disks.requests[0]], np.zeros((0, 2), np.int32)
    )


def _disks(trees: Trees, setup: Setup, times: int) -> Disks:
    return make_disks(
        setup.constants,
        setup.devices,
        trees,
        setup.nodesize,
        len(trees.logical) * times,
        host=setup.host,
        drive=setup.drive,
        queue_depth=setup.queue_depth,
    )


@compiled_part
def _next(disks: Disks) -> tuple[int, int]:
    """Return when and on which disk a request is done next; of several at once, on the first."""
    first_ns, first = NEVER, 0
    for device in range(len(disks.disk)):
        due_ns = due(disks, device)
        if due_ns < first_ns:
            first_ns, first = due_ns, device
    return first_ns, first


@compiled
def _run_readahead(
    engine: Engine, disks: Disks, cpu_ns: int, wait_ns: int, finished: NDArray[np.int64]
) -> bool:
    """Let time go by until all readaheads are done; False if nothing happens any more.

    `wait_ns` is how often each wait looks after the engine.
    """
    looks_ns = np.full(len(finished), wait_ns)
    waits = np.ones(len(finished), np.bool_)
    processor_free_ns = 0
    now_ns = 0
    # Blocks that the processor has not looked at yet.
    first = last = NONE
    done = 0
    while _reap(engine, waits, finished, now_ns):
        disk_ns, device = _next(disks)
        processor_ns = NEVER
        if first != NONE:
            processor_ns = max(processor_free_ns, disks.request[first].ended_ns) + cpu_ns
        look_ns = NEVER
        for number in range(len(waits)):
            if waits[number]:
                look_ns = min(look_ns, looks_ns[number])
        now_ns = min(disk_ns, processor_ns, look_ns)
        if now_ns == NEVER:
            return False
        if disk_ns == now_ns:
            index = complete(disks, engine.trees, device)
            disks.request[index].next = NONE
            if first == NONE:
                first = index
            else:
                disks.request[last].next = index
            last = index
        elif processor_ns == now_ns:
            processor_free_ns = now_ns
            block = disks.request[first].block
            first = int(disks.request[first].next)
            done += 1
            btree_readahead_hook(engine, block)
            work(engine, disks, now_ns)
        else:
            for number in range(len(waits)):
                if waits[number] and looks_ns[number] == now_ns:
                    looks_ns[number] += wait_ns
                    start_again(engine, disks, now_ns)
            if done == disks.requests[0] and not _any_over(engine, waits):
                return False
    return True


@compiled_part
def _reap(
    engine: Engine, waits: NDArray[np.bool_], finished: NDArray[np.int64], now_ns: int
) -> bool:
    """Note which readaheads have all they wanted; return whether any has not."""
    left = False
    for number in range(len(waits)):
        if waits[number] and engine.elems_of[number] == 0:
            waits[number] = False
            finished[number] = now_ns
        left |= waits[number]
    return left


@compiled_part
def _any_over(engine: Engine, waits: NDArray[np.bool_]) -> bool:
    for number in range(len(waits)):
        if waits[number] and engine.elems_of[number] == 0:
            return True
    return False


@compiled
def _run_walks(walks: Walks, disks: Disks, cpu_ns: int, finished: NDArray[np.int64]) -> None:
    """Let time go by until all walks are done."""
    busy_until = np.full(len(finished), NEVER)
    for number in range(len(finished)):
        next_block(walks, disks, busy_until, finished, 0, number, cpu_ns)
    while True:
        disk_ns, device = _next(disks)
        number = np.argmin(busy_until)
        now_ns = min(disk_ns, busy_until[number])
        if now_ns == NEVER:
            return
        if disk_ns == now_ns:
            block = disks.request[complete(disks, walks.trees, device)].block
            walks.in_memory[block] = True
            for reader in range(len(finished)):
                if walks.readers[block] >> reader & 1:
                    busy_until[reader] = now_ns + cpu_ns
        else:
            busy_until[number] = NEVER
            next_block(walks, disks, busy_until, finished, now_ns, number, cpu_ns)
