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
from reference.readahead.scale.disks import NEVER, Disks, make_disks
from reference.readahead.scale.machine import make_engine
from reference.readahead.scale.readaheads import DEADLOCK, make_readaheads, run_readaheads
from reference.readahead.scale.trees import NONE, Trees
from reference.readahead.scale.walks import make_walks, run_walks
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
    wait_ns = WAIT_NS if behaviour.wait_restarts else NEVER
    readaheads = make_readaheads(engine, disks, wanted, setup.cpu_ns, wait_ns)
    refused = run_readaheads(readaheads)
    if refused == DEADLOCK:
        raise Deadlock("readaheads wait for blocks that nobody reads")
    if refused != NONE:
        raise ValueError(f"the engine cannot read ahead from the root of tree {refused}")
    picked = engine.picked[: engine.works[0]["picks"]]
    return _simulated(disks, readaheads.finished_ns, picked)


def simulate_walk(
    trees: Trees, setup: Setup, wanted: Sequence[int] = (0,), pids: Sequence[int] | None = None
) -> Simulated:
    """Walk over the trees `wanted` at the same time, each in a process, which are `pids` (default: all 0).

    ValueError if a block is in no chunk.
    """
    if (trees.device[:, 0] == NONE).any():
        raise ValueError(f"no chunk has the block at {trees.logical[trees.device[:, 0] == NONE][0]}")
    disks = _disks(trees, setup, 1)
    walks = make_walks(trees, disks, wanted, pids or [0] * len(wanted), setup.cpu_ns)
    run_walks(walks)
    return _simulated(disks, walks.finished_ns, np.zeros((0, 2), np.int32))


def _simulated(disks: Disks, finished_ns: NDArray[np.int64], picked: NDArray[np.int32]) -> Simulated:
    return Simulated(tuple(finished_ns.tolist()), disks.request[: disks.requests[0]], picked)


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
