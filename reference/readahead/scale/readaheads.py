# SPDX-License-Identifier: GPL-2.0-or-later
"""Readaheads of whole trees over disks (`reference.readahead.timed.TimedReadahead`) in arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.readahead.scale.disks import NEVER, Disks, complete, first_due
from reference.readahead.scale.jit import compiled, compiled_part, whole
from reference.readahead.scale.machine import (
    Engine,
    btree_readahead_hook,
    btrfs_reada_add,
    start_again,
    work,
)
from reference.readahead.scale.trees import NONE

__all__ = ["DEADLOCK", "Readaheads", "make_readaheads", "run_readaheads"]

DEADLOCK = -2
"""No tree has this number."""

PROCESSOR = np.dtype(
    [
        ("free_ns", np.int64),
        # The requests that it has not looked at yet; how many it has looked at.
        ("first", np.int64),
        ("last", np.int64),
        ("done", np.int64),
    ]
)


class Readaheads(NamedTuple):
    """Readaheads that are waited for, and the processor that does what blocks need."""

    engine: Engine
    disks: Disks
    tree: NDArray[np.int64]
    """Of each readahead."""
    waits: NDArray[np.bool_]
    """Whether somebody waits for it."""
    looks_ns: NDArray[np.int64]
    """When the wait looks after the engine next."""
    finished_ns: NDArray[np.int64]
    processor: NDArray[Any]
    """One."""
    cpu_ns: int
    wait_ns: int
    """How often a wait looks after the engine; NEVER if it does not."""


def make_readaheads(
    engine: Engine, disks: Disks, wanted: Sequence[int], cpu_ns: int, wait_ns: int
) -> Readaheads:
    """Return readaheads of the trees `wanted`, none of which has begun."""
    processor = np.zeros(1, PROCESSOR)
    processor["first"] = processor["last"] = NONE
    return Readaheads(
        engine,
        disks,
        np.array(wanted, np.int64),
        np.ones(len(wanted), np.bool_),
        np.full(len(wanted), wait_ns, np.int64),
        np.zeros(len(wanted), np.int64),
        processor,
        cpu_ns,
        wait_ns,
    )


@compiled
def run_readaheads(run: Readaheads) -> int:
    """Add the readaheads and let time go by until all are done.

    Returns NONE; or the tree whose readahead the engine refuses, or DEADLOCK if nothing happens any more.
    """
    now_ns = whole(0)
    for number in range(len(run.tree)):
        if not btrfs_reada_add(run.engine, run.disks, now_ns, number, run.tree[number]):
            return whole(run.tree[number])
    while _reap(run, now_ns):
        disk_ns, device = first_due(run.disks)
        processor_ns, look_ns = _processor_due(run), _look_due(run)
        now_ns = min(disk_ns, processor_ns, look_ns)
        if now_ns == NEVER:
            return DEADLOCK
        if disk_ns == now_ns:
            _hand_to_processor(run, complete(run.disks, run.engine.trees, device))
        elif processor_ns == now_ns:
            _process(run, now_ns)
        elif not _look_after(run, now_ns):
            return DEADLOCK
    return NONE


@compiled_part
def _reap(run: Readaheads, now_ns: int) -> bool:
    """Note which readaheads have all they wanted; return whether any has not."""
    left = False
    for number in range(len(run.waits)):
        if run.waits[number]:
            if run.engine.elems_of[number]:
                left = True
            else:
                run.waits[number] = False
                run.finished_ns[number] = now_ns
    return left


@compiled_part
def _processor_due(run: Readaheads) -> int:
    """Return when the processor is done with the block that was read first; NEVER if there is none."""
    processor = run.processor[0]
    if processor.first == NONE:
        return NEVER
    return max(whole(processor.free_ns), whole(run.disks.request[processor.first].ended_ns)) + run.cpu_ns


@compiled_part
def _look_due(run: Readaheads) -> int:
    look_ns = NEVER
    for number in range(len(run.waits)):
        if run.waits[number]:
            look_ns = min(look_ns, whole(run.looks_ns[number]))
    return look_ns


@compiled_part
def _hand_to_processor(run: Readaheads, index: int) -> None:
    processor, request = run.processor[0], run.disks.request
    request[index].next = NONE
    if processor.first == NONE:
        processor.first = index
    else:
        request[processor.last].next = index
    processor.last = index


@compiled_part
def _process(run: Readaheads, now_ns: int) -> None:
    processor = run.processor[0]
    request = run.disks.request[processor.first]
    processor.free_ns = now_ns
    processor.first = request.next
    processor.done += 1
    btree_readahead_hook(run.engine, whole(request.block))
    work(run.engine, run.disks, now_ns)


@compiled_part
def _look_after(run: Readaheads, now_ns: int) -> bool:
    """Start the machine for each wait whose time has come; return whether anything can come of it."""
    over = False
    for number in range(len(run.waits)):
        if run.waits[number] and run.looks_ns[number] == now_ns:
            run.looks_ns[number] += run.wait_ns
            start_again(run.engine, run.disks, now_ns)
    for number in range(len(run.waits)):
        over |= bool(run.waits[number]) and run.engine.elems_of[number] == 0
    return over or bool(run.processor[0].done < run.disks.requests[0])
