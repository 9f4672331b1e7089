# SPDX-License-Identifier: GPL-2.0-or-later
"""How defects are hunted: what counts, what is written down, and that a seed decides everything."""

from __future__ import annotations

import random

import pytest

from reference.bugs import (
    ALL_DEFECTS,
    STRUCTURES,
    Half,
    Structure,
    corrected,
    half_of,
    having,
    hunt,
    operations,
    reproducer_of,
)
from reference.bugs.calls import Calls
from reference.bugs.operations import Operations
from reference.bugs.reproducer import Random, Shown, shown
from reference.extent_map import DEFECTS, Defect, InvariantError
from reference.extent_map.calls import Call
from reference.extent_map.page_behaviour import PAGE_DEFECTS
from reference.extent_map.page_file import Setting
from reference.fsx import Kind, Operation
from reference.machine import Bug, DataCorruption

BY_NAME = {defect.name: defect for defect in ALL_DEFECTS}
ONE_OF_EACH_WAY = {
    "calls": "hole_insert_overlaps",
    "programs": "wait_goes_back",
    "operations": "write_marks_all_uptodate",
    "scenes": "get_extent_leaks_on_race",
}
each_way = pytest.mark.parametrize(("way", "name"), ONE_OF_EACH_WAY.items(), ids=ONE_OF_EACH_WAY)


def random_of(name: str) -> Random:
    return random.Random(f"7 {name}")


@each_way
def test_a_hunt_finds_shrinks_and_writes_down(way: str, name: str) -> None:
    row = hunt(BY_NAME[name], random_of)
    assert row.caught
    assert row.first is not None
    for structure, catch in row.catches.items():
        assert catch is not None
        assert catch.reproducer.way == way
        again = reproducer_of(way, catch.reproducer.data())
        assert again == catch.reproducer
        version = having(structure, row.defect)
        assert again.replay(version) == catch.shown
        assert again.replay(corrected(structure, row.defect)) is None
        assert 0 < len(again.lines(version)) <= 14
        assert again.trace(version)
    assert hunt(BY_NAME[name], random_of) == row


def test_only_versions_that_have_a_defect_are_looked_at() -> None:
    for name, structures in {"failed_add_keeps_lock": ["rbtree"], "failed_add_merges": ["radix"]}.items():
        assert list(hunt(BY_NAME[name], random_of).catches) == structures


def test_the_catalogue_has_all_defects_of_both_halves_once() -> None:
    assert (*DEFECTS, *PAGE_DEFECTS) == ALL_DEFECTS
    assert len(BY_NAME) == len(ALL_DEFECTS)
    halves: list[tuple[Half, tuple[Defect, ...]]] = [("trees", DEFECTS), ("pages", PAGE_DEFECTS)]
    for half, defects in halves:
        assert {half_of(defect) for defect in defects} == {half}


@pytest.mark.parametrize("defect", ALL_DEFECTS, ids=lambda defect: defect.name)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_one_defect_is_all_that_differs(structure: Structure, defect: Defect) -> None:
    with_it, without = having(structure, defect), corrected(structure, defect)
    changed = [
        name
        for one, other in zip(with_it, without, strict=True)
        for name in vars(one)
        if getattr(one, name) != getattr(other, name)
    ]
    assert changed == [defect.name]


def test_what_shows_without_the_defect_too_does_not_count() -> None:
    """Holes that get no bits lose data, whatever the pages do."""
    without = corrected("rbtree")._replace(trees=having("rbtree", BY_NAME["tail_hides_hole"]).trees)
    assert operations.hunt(without, random.Random(1), trials=50) is not None
    assert operations.hunt(without, random.Random(1), without, 50) is None


@pytest.mark.parametrize("structure", STRUCTURES)
def test_random_operations_show_nothing_in_the_corrected_version(structure: Structure) -> None:
    assert operations.hunt(corrected(structure), random.Random(2), trials=100) is None


@pytest.mark.parametrize("name", ["set_without_prealloc", "clear_without_prealloc"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_no_completion_of_the_corrected_pages_needs_a_state(structure: Structure, name: str) -> None:
    """Each bio has a state of its own: with trees that oops where a completion needs one, nothing shows."""
    trees = having(structure, BY_NAME[name]).trees
    assert operations.hunt(corrected(structure)._replace(trees=trees), random.Random(3), trials=100) is None


def test_a_page_defect_is_replayed_on_any_surroundings_of_its_own() -> None:
    write = Operation(Kind.WRITE, 0, 1, 0, 1)
    nothing = Operations(Setting(), (write,))
    assert nothing.replay(corrected("radix")) is None
    assert nothing.adapted(corrected("radix"), "Bug") is None
    assert Operations.of(nothing.data()) == nothing
    assert nothing.lines(corrected("radix")) == ["(blocks of 4096 bytes, bios done at once)", str(write)]


def test_a_trace_says_what_is_in_the_trees_after_each_call() -> None:
    calls = Calls((Call("set", 5, 5, 1), Call("set", 0, 5, 16)))
    version = having("rbtree", BY_NAME["hole_insert_overlaps"])
    assert calls.trace(version) == [
        *("set DIRTY [5, 5]", "    state [5, 5] DIRTY"),
        *("set NEW [0, 5]", "    *** Bug: BUG_ON(err == -EEXIST)"),
    ]
    assert calls.trace(corrected("rbtree"))[-1] == "    state [0, 4] NEW, state [5, 5] DIRTY|NEW"


@pytest.mark.parametrize(
    ("error", "kind", "check"),
    [
        (AssertionError("states [], expected [1]"), "AssertionError", "naive model"),
        (InvariantError(4, "two that should be one"), "InvariantError", "validate(), invariant 4"),
        (DataCorruption("invariant 12: locked at rest"), "DataCorruption", "validate(), invariant 12"),
        (DataCorruption("byte 1 is 0x00"), "DataCorruption", "naive model"),
        (Bug("BUG_ON(1)"), "Bug", "machine, Bug"),
    ],
)
def test_the_check_that_found_it_is_named(error: AssertionError | Bug, kind: str, check: str) -> None:
    found = shown(error)
    assert (found.kind, found.check) == (kind, check)
    assert Shown(found.kind, found.message) == found
