# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks and interrupts on one corrected tree, in every order that there is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reference.extent_map import (
    EXTENT_DIRTY,
    EXTENT_LOCKED,
    EXTENT_UPTODATE,
    EXTENT_WRITEBACK,
    GFP_ATOMIC,
    GFP_NOFS,
    Behaviour,
    ExtentMap,
    ExtentMapTree,
    extent_map_tree,
)
from reference.extent_map.naive import NaiveMaps
from reference.extent_map.states import Request
from reference.machine import PREEMPT, Machine, Scenario, Steps, explore

VERSIONS = (Behaviour.corrected_radix, Behaviour.corrected_rbtree)
by_version = pytest.mark.parametrize("behaviour", VERSIONS, ids=lambda behaviour: behaviour.structure)
Build = Callable[[Machine, ExtentMapTree], None]


def on_a_tree(behaviour: Behaviour, build: Build) -> Scenario:
    def scenario(machine: Machine) -> None:
        tree = extent_map_tree(behaviour, strict=True)
        machine.at_end += [tree.validate, tree.check_quiet]
        build(machine, tree)

    return scenario


def fine(behaviour: Behaviour, build: Build, states: int = 30) -> None:
    """Assert that every order of `build`, at least so many machine states, was seen and shows nothing."""
    result = explore(on_a_tree(behaviour, build), max_states=60_000)
    assert [str(found.finding) for found in result.found] == []
    assert result.complete
    assert result.states >= states


@by_version
@pytest.mark.parametrize("ranges", [((0, 3), (2, 5)), ((0, 7), (4, 5)), ((0, 3), (0, 3))], ids=str)
def test_locks_exclude_each_other(behaviour: Behaviour, ranges: tuple[tuple[int, int], ...]) -> None:
    def build(machine: Machine, tree: ExtentMapTree) -> None:
        inside: list[str] = []

        def work(name: str, start: int, end: int) -> Steps[None]:
            assert (yield from tree.lock_extent(start, end, GFP_NOFS)) == 0
            inside.append(name)
            yield PREEMPT
            assert inside == [name]
            inside.remove(name)
            assert (yield from tree.unlock_extent(start, end, GFP_NOFS)) == EXTENT_LOCKED

        for name, (start, end) in zip("AB", ranges, strict=True):
            machine.task(name, work(name, start, end))
        machine.at_end.append(lambda: none_left(tree))

    fine(behaviour, build)


def none_left(tree: ExtentMapTree) -> None:
    assert tree.states.states() == []


@by_version
def test_a_writer_waits_for_writeback_that_an_interrupt_ends(behaviour: Behaviour) -> None:
    def build(machine: Machine, tree: ExtentMapTree) -> None:
        def end_io() -> Steps[None]:
            assert (yield from tree.clear_extent_writeback(0, 3, GFP_ATOMIC)) == EXTENT_WRITEBACK
            assert (yield from tree.set_extent_uptodate(0, 3, GFP_ATOMIC)) == 0

        def write() -> Steps[None]:
            yield from tree.set_extent_writeback(0, 3, GFP_NOFS)
            machine.interrupts.raise_irq("end_io", end_io())
            yield PREEMPT
            yield from tree.wait_on_extent_writeback(0, 7)
            assert (yield from tree.test_range_bit(0, 3, EXTENT_WRITEBACK, False)) == 0
            yield from tree.set_extent_dirty(2, 5, GFP_NOFS)

        machine.task("write", write())
        machine.at_end.append(lambda: equal(tree, [(0, 1, 4), (2, 3, 5), (4, 5, 1)]))

    fine(behaviour, build, states=10)


def equal(tree: ExtentMapTree, rows: list[tuple[int, int, int]]) -> None:
    assert tree.states.states() == rows


@by_version
def test_bits_set_by_several_tasks_at_once_are_all_there(behaviour: Behaviour) -> None:
    def build(machine: Machine, tree: ExtentMapTree) -> None:
        machine.task("A", tree.set_extent_dirty(0, 5, GFP_NOFS))
        machine.task("B", tree.set_extent_uptodate(3, 7, GFP_NOFS))
        machine.at_end.append(lambda: equal(tree, [(0, 2, 1), (3, 5, 5), (6, 7, 4)]))

    fine(behaviour, build)


@by_version
def test_clearing_beside_setting(behaviour: Behaviour) -> None:
    def build(machine: Machine, tree: ExtentMapTree) -> None:
        tree.states.set_extent_bit(0, 7, EXTENT_DIRTY)
        machine.task("A", tree.clear_extent_dirty(2, 4, GFP_NOFS))
        machine.task("B", tree.set_extent_bit(3, 6, EXTENT_UPTODATE, False, None, GFP_NOFS))
        machine.at_end.append(lambda: equal(tree, [(0, 1, 1), (3, 4, 4), (5, 6, 5), (7, 7, 1)]))

    fine(behaviour, build)


@by_version
def test_two_who_map_the_same_bytes(behaviour: Behaviour) -> None:
    def build(machine: Machine, tree: ExtentMapTree) -> None:
        results: list[int] = []

        def add(start: int, end: int) -> Steps[None]:
            em = yield from tree.alloc_extent_map(GFP_NOFS)
            assert em is not None
            em.start, em.end, em.block_start, em.block_end = start, end, 1000 + start, 1000 + end
            err = yield from tree.add_extent_mapping(em)
            results.append(err)
            tree.free_extent_map(em)

        machine.task("A", add(0, 3))
        machine.task("B", add(2, 5))
        machine.at_end += [lambda: one_of_two(results), lambda: mapped(tree)]

    fine(behaviour, build, states=10)


def one_of_two(results: list[int]) -> None:
    assert sorted(results) == [-17, 0]


def mapped(tree: ExtentMapTree) -> None:
    (em,) = tree.maps
    naive = NaiveMaps()
    assert naive.add(em.start, em.end, em.block_start, em.bdev)
    assert isinstance(em, ExtentMap)
    assert all(place == 1000 + offset for offset, (place, _) in naive.places.items())


@by_version
def test_three_who_lock(behaviour: Behaviour) -> None:
    def build(machine: Machine, tree: ExtentMapTree) -> None:
        def work(start: int, end: int) -> Steps[None]:
            yield from tree.lock_extent(start, end, GFP_NOFS)
            yield from tree.unlock_extent(start, end, GFP_NOFS)

        for name, first in zip("ABC", (0, 1, 2), strict=True):
            machine.task(name, work(first, first + 1))
        machine.at_end.append(lambda: none_left(tree))

    result = explore(on_a_tree(behaviour, build), preemptions=2, max_states=60_000)
    assert [str(found.finding) for found in result.found] == []
    assert result.states > 1000


def test_the_example_of_the_documentation() -> None:
    """docs/extent-map-2007.md, line by line: the second version's sections."""
    states = extent_map_tree().states
    states.set_extent_bit(0, 16383, EXTENT_DIRTY)
    states.set_extent_bit(16384, 20479, EXTENT_DIRTY)
    assert states.states() == [(0, 20479, 1)]
    lock = Request(4096, 8191, EXTENT_LOCKED, exclusive=True)
    assert states.set_section(lock)
    assert states.states() == [(0, 4095, 1), (4096, 20479, 1)]
    assert not states.set_section(lock)
    assert states.states() == [(0, 4095, 1), (4096, 8191, 9), (8192, 20479, 1)]
    assert states.set_extent_bit(0, 12287, EXTENT_LOCKED, exclusive=True) == 4096
    assert states.states() == [(0, 4095, 9), (4096, 8191, 9), (8192, 20479, 1)]
    states.clear_extent_bit(4096, 8191, EXTENT_LOCKED, wake=True)
    assert states.states() == [(0, 4095, 9), (4096, 20479, 1)]
