# SPDX-License-Identifier: GPL-2.0-or-later
"""Small reads in every order of completions, workers and other tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from reference.direct_io.rfc_2010 import (
    Behaviour,
    Kernel,
    UserMemory,
    btrfs_direct_IO,
    check_always,
    check_end,
)
from reference.direct_io.source import IoVec
from reference.direct_io.synthetic import BLOCK, Case, ExtentSpec, FaultSpec, build, content
from reference.machine import Exploration, Machine, Steps, explore

Task = Callable[[Kernel], Steps[object]]

TWO_EXTENTS = Case(
    (ExtentSpec("plain"), ExtentSpec("plain", content=2)), iov=(IoVec(0x10000, 2 * BLOCK),), is_sync=True
)
COMPRESSED = Case((ExtentSpec("zlib", 4),), offset=BLOCK, iov=(IoVec(0x10000, BLOCK),))


def explored(
    case: Case, behaviour: Behaviour = Behaviour.corrected, others: tuple[Task, ...] = ()
) -> tuple[Exploration, set[int]]:
    """Run `case` in every order; return what was found, and all that the read returned."""
    results: set[int] = set()

    def scenario(machine: Machine) -> None:
        kernel = Kernel(machine, build(case), UserMemory(case.memory_pages()), behaviour)
        reader = machine.task("reader", btrfs_direct_IO(kernel, case.request))
        for number, other in enumerate(others):
            machine.task(f"other {number}", other(kernel))
        machine.invariants.append(lambda: check_always(kernel))
        machine.at_end.append(lambda: check_end(kernel))

        def take_down() -> None:
            result = kernel.completed[0] if kernel.completed else reader.result
            assert isinstance(result, int)
            results.add(result)

        machine.at_end.append(take_down)

    return explore(scenario), results


@pytest.mark.parametrize("is_sync", [True, False])
def test_two_extents_are_read_in_every_order(is_sync: bool) -> None:
    exploration, results = explored(replace(TWO_EXTENTS, is_sync=is_sync))
    assert exploration.complete
    assert exploration.found == []
    assert results == {2 * BLOCK}


def test_what_the_first_bad_block_leaves_does_not_depend_on_the_order() -> None:
    case = replace(TWO_EXTENTS, faults=(FaultSpec("corrupt", 1),))
    exploration, results = explored(case)
    assert exploration.complete
    assert exploration.found == []
    assert results == {BLOCK}


@pytest.mark.parametrize(
    ("defect", "finding"),
    [("reaper_misses_done", "LostWakeUp"), ("reaper_uses_freed_diocb", "UseAfterFree")],
)
def test_the_reaper_as_posted_races_with_who_waits(defect: str, finding: str) -> None:
    exploration, _ = explored(TWO_EXTENTS, Behaviour.corrected.having(defect))
    assert {found.finding.kind for found in exploration.found} == {finding}


def truncate(kernel: Kernel) -> Steps[None]:
    """Make the file empty."""
    yield from kernel.mutex_lock()
    kernel.i_size = 0
    kernel.mutex_unlock()


def test_a_truncate_may_come_while_a_compressed_extent_is_locked_anew() -> None:
    exploration, results = explored(COMPRESSED, others=(truncate,))
    assert exploration.complete
    assert exploration.found == []
    assert results == {0, BLOCK}


def test_as_posted_that_unlocks_what_is_not_locked() -> None:
    exploration, _ = explored(COMPRESSED, Behaviour.corrected.having("unlocks_unlocked"), (truncate,))
    assert {found.finding.kind for found in exploration.found} == {"Bug"}


def test_two_readers_of_one_block_wait_for_each_other() -> None:
    case = replace(TWO_EXTENTS, iov=(IoVec(0x10000, BLOCK),))

    def second(kernel: Kernel) -> Steps[object]:
        return btrfs_direct_IO(kernel, case.request)

    exploration, results = explored(case, others=(second,))
    assert exploration.complete
    assert exploration.found == []
    assert results == {BLOCK}


def test_the_data_are_those_of_the_extents() -> None:
    machine = Machine()
    kernel = Kernel(machine, build(TWO_EXTENTS), UserMemory(TWO_EXTENTS.memory_pages()))
    machine.task("reader", btrfs_direct_IO(kernel, TWO_EXTENTS.request))
    while choices := machine.choices():
        machine.step(choices[-1])
    machine.finish()
    assert bytes(kernel.memory.pages[0x10].data) == content(0, 0)
    assert bytes(kernel.memory.pages[0x11].data) == content(2, 0)
