# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the tree one by one, with the numbers written out."""

from __future__ import annotations

import doctest
import random

import pytest

from reference.extent_state import bits
from reference.extent_state import tree as tree_module
from reference.extent_state.behaviour import Behaviour
from reference.extent_state.bits import LINUX_6_18
from reference.extent_state.state import U64_MAX
from reference.extent_state.testing import (
    BEHAVIOURS,
    BITS,
    PAGE,
    Operation,
    Rows,
    pages,
    random_operations,
    rows,
    tree_of,
)
from reference.extent_state.tree import DONE, FAILED, ExtentIoTree

DIRTY, LOCKED, DELALLOC, DEFRAG = BITS["DIRTY"], BITS["LOCKED"], BITS["DELALLOC"], BITS["DEFRAG"]
BOUNDARY, NORESERVE, CLEAR_ALL = BITS["BOUNDARY"], BITS["NORESERVE"], BITS["CLEAR_ALL_BITS"]


@pytest.mark.parametrize("module", [bits, tree_module])
def test_examples_in_docstrings(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted
    assert not result.failed


# Setting.


def test_set_on_a_whole_state_takes_in_both_neighbours() -> None:
    tree = tree_of((0, 0, DIRTY | DELALLOC), (1, 1, DIRTY), (2, 2, DIRTY | DELALLOC))
    assert tree.set_section(*pages(1, 1), DELALLOC) == DONE
    assert rows(tree) == [(0, 2, DIRTY | DELALLOC, 2)]
    assert tree.erased == [1, 3]
    assert tree.supply == [93, 92, 91]


def test_set_splits_off_the_head_as_a_new_state() -> None:
    tree = tree_of((0, 3, DIRTY))
    assert tree.set_section(*pages(2, 3), DELALLOC) == DONE
    assert rows(tree) == [(0, 1, DIRTY, 91), (2, 3, DIRTY | DELALLOC, 1)]


def test_set_splits_off_the_first_part_of_a_tail() -> None:
    tree = tree_of((0, 3, DIRTY))
    assert tree.set_section(*pages(0, 1), DELALLOC) == DONE
    assert rows(tree) == [(0, 1, DIRTY | DELALLOC, 91), (2, 3, DIRTY, 1)]


def test_set_in_the_middle_drops_the_lock_between_its_two_splits() -> None:
    tree = tree_of((0, 3, DIRTY))
    assert tree.set_section(*pages(1, 2), DELALLOC) == PAGE
    assert rows(tree) == [(0, 0, DIRTY, 91), (1, 3, DIRTY, 1)]
    tree.validate(unfinished={PAGE})
    assert tree.set_section(*pages(1, 2), DELALLOC) == DONE
    assert rows(tree) == [(0, 0, DIRTY, 91), (1, 2, DIRTY | DELALLOC, 92), (3, 3, DIRTY, 1)]


def test_set_of_bits_that_a_tail_has_already_hands_it_to_the_new_state() -> None:
    tree = tree_of((0, 3, DIRTY))
    tree.set_extent_bit(*pages(0, 1), DIRTY)
    assert rows(tree) == [(0, 3, DIRTY, 91)]
    assert tree.erased == [1]


def test_set_skips_a_state_that_began_earlier_and_has_the_bits() -> None:
    tree = tree_of((0, 1, DIRTY | DELALLOC), (2, 2, DEFRAG))
    assert tree.set_section(*pages(1, 2), DIRTY) == 2 * PAGE
    assert rows(tree) == [(0, 1, DIRTY | DELALLOC, 1), (2, 2, DEFRAG, 2)]
    assert tree.set_section(*pages(1, 1), DIRTY | DELALLOC) == DONE
    assert tree.supply == [93, 92, 91]


def test_control_bits_keep_a_set_from_skipping() -> None:
    tree = tree_of((0, 1, DIRTY))
    tree.set_extent_bit(*pages(1, 1), DIRTY | BITS["CLEAR_META_RESV"])
    assert rows(tree) == [(0, 1, DIRTY, 1)]
    assert tree.erased == [91]


def test_set_behind_all_states_is_the_survivor() -> None:
    tree = tree_of((0, 0, DIRTY))
    tree.set_extent_bit(*pages(1, 1), DIRTY)
    assert rows(tree) == [(0, 1, DIRTY, 91)]
    assert tree.erased == [1]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (DIRTY, DEFRAG, [(0, 1, DIRTY, 1), (2, 2, DEFRAG, 2)]),
        (DEFRAG, DIRTY, [(0, 0, DEFRAG, 1), (1, 2, DIRTY, 2)]),
    ],
)
def test_hole_is_taken_in_by_the_equal_neighbour(left: int, right: int, expected: Rows) -> None:
    tree = tree_of((0, 0, left), (2, 2, right))
    assert tree.set_section(*pages(1, 1), DIRTY) == DONE
    assert rows(tree) == expected
    assert tree.supply == [93, 92, 91]


def test_hole_between_equal_neighbours_goes_to_the_one_nearer_the_root() -> None:
    earlier_is_root = tree_of((0, 0, DIRTY), (2, 2, DIRTY))
    earlier_is_root.set_extent_bit(*pages(1, 1), DIRTY)
    assert rows(earlier_is_root) == [(0, 2, DIRTY, 1)]
    assert earlier_is_root.erased == [2]
    later_is_root = tree_of((2, 2, DIRTY), (4, 4, DEFRAG), (0, 0, DIRTY))
    assert later_is_root.anchor.left.start == 2 * PAGE
    for state, ident in zip(later_is_root, (11, 12, 13), strict=True):
        state.state, state.ident = DIRTY, ident
    later_is_root.set_extent_bit(*pages(1, 1), DIRTY)
    assert rows(later_is_root) == [(0, 2, DIRTY, 12), (4, 4, DIRTY, 13)]
    assert later_is_root.erased == [11]


@pytest.mark.parametrize("held", [LOCKED, BITS["DIO_LOCKED"], BOUNDARY])
def test_locked_and_boundary_states_do_not_merge(held: int) -> None:
    tree = tree_of((0, 0, held), (2, 2, held))
    tree.set_extent_bit(*pages(1, 1), held)
    tree.set_extent_bit(*pages(3, 3), held)
    assert rows(tree) == [(0, 0, held, 1), (1, 1, held, 91), (2, 2, held, 2), (3, 3, held, 92)]
    tree.validate()


def test_set_goes_on_under_one_lock_from_a_hole_but_not_into_one() -> None:
    tree = tree_of((1, 1, DELALLOC), (3, 3, DELALLOC))
    assert tree.set_section(*pages(0, 4), DEFRAG) == 2 * PAGE
    assert [row[:3] for row in rows(tree)] == [
        (0, 0, DEFRAG),
        (1, 1, DELALLOC | DEFRAG),
        (3, 3, DELALLOC),
    ]


# Locking.


@pytest.mark.parametrize(
    ("first", "last", "failed"), [(0, 0, 0), (0, 3, 1), (1, 1, 1), (2, 2, 2), (2, 9, 2), (3, 9, 5)]
)
def test_a_held_lock_stops_a_set_where_it_is_met(first: int, last: int, failed: int) -> None:
    tree = tree_of((0, 0, LOCKED), (1, 2, LOCKED), (5, 5, LOCKED | DELALLOC))
    if first == 0 and failed:
        tree = tree_of((1, 2, LOCKED))
    assert tree.set_extent_bit(*pages(first, last), LOCKED) == failed * PAGE
    assert tree.failed_start == failed * PAGE
    assert not tree.erased


def test_what_was_set_before_the_lock_was_met_stays() -> None:
    tree = tree_of((0, 0, DELALLOC), (1, 1, LOCKED))
    assert tree.set_section(*pages(0, 1), LOCKED) == FAILED
    assert rows(tree) == [(0, 0, DELALLOC | LOCKED, 1), (1, 1, LOCKED, 2)]


def test_the_two_locks_do_not_exclude_each_other() -> None:
    tree = tree_of((0, 0, LOCKED))
    assert tree.set_extent_bit(*pages(0, 0), BITS["DIO_LOCKED"]) is None
    assert tree.set_extent_bit(*pages(0, 0), BITS["DIO_LOCKED"] | DELALLOC) == 0
    assert rows(tree) == [(0, 0, LOCKED | BITS["DIO_LOCKED"], 1)]


def test_other_bits_are_set_under_a_lock() -> None:
    tree = tree_of((0, 1, LOCKED))
    assert tree.set_extent_bit(*pages(1, 1), DELALLOC) is None
    assert rows(tree) == [(0, 0, LOCKED, 91), (1, 1, LOCKED | DELALLOC, 1)]


# Clearing.


def test_clear_merges_what_becomes_equal() -> None:
    tree = tree_of((0, 0, DELALLOC), (1, 1, DELALLOC | LOCKED), (2, 2, DELALLOC))
    assert tree.clear_section(*pages(1, 1), LOCKED) == DONE
    assert rows(tree) == [(0, 2, DELALLOC, 2)]
    assert tree.erased == [1, 3]


def test_clear_of_the_last_bits_erases() -> None:
    tree = tree_of((0, 0, DIRTY), (1, 1, DELALLOC), (2, 2, DIRTY))
    tree.clear_extent_bit(*pages(0, 2), DIRTY)
    assert rows(tree) == [(1, 1, DELALLOC, 2)]
    assert tree.erased == [1, 3]


def test_clear_in_the_middle_splits_twice_under_one_lock() -> None:
    tree = tree_of((0, 3, DIRTY | DELALLOC))
    assert tree.clear_section(*pages(1, 2), DELALLOC) == DONE
    assert rows(tree) == [(0, 0, DIRTY | DELALLOC, 91), (1, 2, DIRTY, 92), (3, 3, DIRTY | DELALLOC, 1)]


def test_clear_passes_over_holes_and_other_states() -> None:
    tree = tree_of((1, 1, DIRTY), (3, 3, DELALLOC), (5, 5, DIRTY))
    assert tree.clear_section(*pages(0, 4), DIRTY) == DONE
    assert rows(tree) == [(3, 3, DELALLOC, 2), (5, 5, DIRTY, 3)]


def test_clear_that_runs_out_of_states_searches_once_more() -> None:
    tree = tree_of((0, 0, DIRTY))
    assert tree.clear_section(*pages(0, 4), DIRTY) == PAGE
    assert tree.clear_section(*pages(1, 4), DIRTY) == DONE


def test_delalloc_takes_noreserve_along() -> None:
    tree = tree_of((0, 0, DELALLOC | NORESERVE | DIRTY), (1, 1, NORESERVE))
    tree.clear_extent_bit(*pages(0, 1), DELALLOC)
    assert rows(tree) == [(0, 0, DIRTY, 1)]


def test_clear_all_bits() -> None:
    tree = tree_of((0, 0, LOCKED | DELALLOC), (1, 1, BOUNDARY), (2, 2, DIRTY))
    tree.clear_extent_bit(*pages(0, 1), CLEAR_ALL)
    assert rows(tree) == [(2, 2, DIRTY, 3)]


def test_clear_of_control_bits_alone_changes_nothing() -> None:
    tree = tree_of((0, 2, DIRTY))
    tree.clear_extent_bit(*pages(1, 1), BITS["CLEAR_META_RESV"] | BITS["ADD_INODE_BYTES"])
    assert rows(tree) == [(0, 2, DIRTY, 1)]


# Converting.


def test_convert_sets_and_clears() -> None:
    tree = tree_of((0, 0, DIRTY), (1, 2, DELALLOC), (3, 3, DIRTY | DEFRAG))
    tree.convert_extent_bit(*pages(1, 3), DIRTY, DELALLOC | DEFRAG)
    assert rows(tree) == [(0, 3, DIRTY, 3)]
    assert tree.erased == [1, 2]


def test_convert_can_erase() -> None:
    tree = tree_of((0, 0, DIRTY))
    tree.convert_extent_bit(*pages(0, 0), 0, DIRTY)
    assert rows(tree) == []


def test_convert_splits_a_state_that_is_so_already() -> None:
    tree = tree_of((0, 2, DIRTY))
    assert tree.convert_section(*pages(1, 1), DIRTY, DELALLOC) == PAGE
    assert tree.convert_section(*pages(1, 1), DIRTY, DELALLOC) == DONE
    assert rows(tree) == [(0, 2, DIRTY, 92)]
    assert tree.erased == [91, 1]


def test_convert_does_not_take_noreserve_along() -> None:
    tree = tree_of((0, 0, DELALLOC | NORESERVE))
    tree.convert_extent_bit(*pages(0, 0), DIRTY, DELALLOC)
    assert rows(tree) == [(0, 0, DIRTY | NORESERVE, 1)]


# The ends of the world.


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.name)
def test_whole_range(behaviour: Behaviour) -> None:
    tree = ExtentIoTree(LINUX_6_18, behaviour)
    assert tree.set_extent_bit(0, U64_MAX, DIRTY) is None
    tree.set_extent_bit(0, U64_MAX, DEFRAG)
    tree.convert_extent_bit(0, U64_MAX, DELALLOC, DIRTY)
    assert [state[:3] for state in tree.states()] == [(0, U64_MAX, DELALLOC | DEFRAG)]
    tree.validate()
    tree.clear_extent_bit(PAGE, U64_MAX, DEFRAG)
    assert [state[:3] for state in tree.states()] == [
        (0, PAGE - 1, DELALLOC | DEFRAG),
        (PAGE, U64_MAX, DELALLOC),
    ]
    tree.validate()
    tree.clear_extent_bit(0, U64_MAX, CLEAR_ALL)
    assert not tree.states()


def test_skipping_a_state_that_ends_the_world_starts_over_from_0() -> None:
    tree = ExtentIoTree(LINUX_6_18)
    tree.set_extent_bit(PAGE, U64_MAX, DIRTY)
    assert tree.set_section(2 * PAGE, U64_MAX, DIRTY) == 0
    tree.set_extent_bit(2 * PAGE, U64_MAX, DIRTY)
    assert [state[:3] for state in tree.states()] == [(0, U64_MAX, DIRTY)]


def test_filling_a_hole_up_to_the_end_of_the_world_starts_over_from_0() -> None:
    tree = ExtentIoTree(LINUX_6_18)
    tree.set_extent_bit(2 * PAGE, U64_MAX, DIRTY)
    assert tree.set_section(PAGE, U64_MAX, DIRTY) == 0


def test_one_byte_at_either_end() -> None:
    tree = ExtentIoTree(LINUX_6_18)
    for offset in (0, U64_MAX):
        tree.set_extent_bit(offset, offset, DIRTY)
    tree.validate()
    assert [state[:3] for state in tree.states()] == [(0, 0, DIRTY), (U64_MAX, U64_MAX, DIRTY)]


# Control bits, allocation, copies.


def test_control_bits_are_not_stored() -> None:
    tree = tree_of((1, 1, DIRTY))
    tree.set_extent_bit(*pages(0, 1), DELALLOC | LINUX_6_18.ctlbits)
    tree.convert_extent_bit(*pages(1, 2), DEFRAG | LINUX_6_18.ctlbits, DIRTY)
    assert [row[:3] for row in rows(tree)] == [
        (0, 0, DELALLOC),
        (1, 1, DELALLOC | DEFRAG),
        (2, 2, DEFRAG),
    ]


def test_setting_control_bits_alone_leaves_an_empty_state_as_the_kernel_does() -> None:
    tree = ExtentIoTree(LINUX_6_18)
    tree.set_extent_bit(*pages(0, 0), BITS["ADD_INODE_BYTES"])
    assert rows(tree) == [(0, 0, 0, -1)]


def test_states_beyond_the_supply_are_counted() -> None:
    tree = ExtentIoTree(LINUX_6_18)
    tree.supply = [7]
    for page in (0, 2, 4):
        tree.set_extent_bit(*pages(page, page), DIRTY)
    assert rows(tree) == [(0, 0, DIRTY, 7), (2, 2, DIRTY, -1), (4, 4, DIRTY, -2)]
    assert tree.unsupplied == 2


def test_release_frees_children_first() -> None:
    tree = tree_of((0, 0, DIRTY), (2, 2, DIRTY), (4, 4, DIRTY), (6, 6, DIRTY))
    tree.release()
    assert tree.erased == [1, 4, 3, 2]
    assert len(tree) == 0
    assert tree, "an empty tree is not false"
    tree.validate()


def test_copy_is_independent_and_of_the_same_shape() -> None:
    tree = tree_of(*[(page, page, DIRTY) for page in range(0, 40, 2)])
    tree.erased, tree.unsupplied, tree.failed_start = [5], 3, PAGE
    twin = tree.copy()
    twin.validate()
    assert (twin.states(), twin.postorder() == tree.postorder()) == (tree.states(), False)
    assert [state.ident for state in twin.postorder()] == [state.ident for state in tree.postorder()]
    assert (twin.supply, twin.erased, twin.unsupplied, twin.failed_start) == ([93, 92, 91], [5], 3, PAGE)
    before = tree.states()
    twin.clear_extent_bit(*pages(0, 40), DIRTY)
    twin.set_extent_bit(*pages(1, 1), DELALLOC)
    assert tree.states() == before
    assert (tree.supply, tree.erased) == ([93, 92, 91], [5])


def test_dropping_the_lock_whenever_asked_changes_no_bits() -> None:
    """need_resched() ends sections early; alone on its tree, an operation does the same in the end."""
    whole, often = ExtentIoTree(LINUX_6_18), ExtentIoTree(LINUX_6_18)
    often.need_resched = True
    for operation in random_operations(random.Random(7), 3000, 40):
        results = [whole_operation(tree, operation) for tree in (whole, often)]
        assert results[0] == results[1]
        assert [s[:3] for s in whole.states()] == [s[:3] for s in often.states()]
        often.validate()
    assert often.copy().need_resched


def whole_operation(tree: ExtentIoTree, operation: Operation) -> int | None:
    kind, start, end, held, clear_bits = operation
    if kind == "set":
        return tree.set_extent_bit(start, end, held)
    if kind == "clear":
        tree.clear_extent_bit(start, end, held)
    elif kind == "convert":
        tree.convert_extent_bit(start, end, held, clear_bits)
    else:
        tree.release()
    return None


def test_a_section_ends_where_the_kernel_would_reschedule() -> None:
    tree = ExtentIoTree(LINUX_6_18)
    tree.need_resched = True
    assert tree.set_extent_bit(4096, 8191, LOCKED) is None
    assert tree.set_section(0, 12287, DELALLOC) == 4096
    assert tree.set_section(4096, 12287, DELALLOC) == 8192
    assert tree.set_section(8192, 12287, DELALLOC) == DONE
    assert tree.clear_section(0, 12287, DELALLOC) == 4096


def test_a_clear_may_be_interrupted_between_its_two_splits() -> None:
    tree = tree_of((0, 3, DIRTY | DELALLOC))
    tree.need_resched = True
    assert tree.clear_section(*pages(1, 2), DELALLOC) == PAGE
    assert tree.clear_section(*pages(1, 2), DELALLOC) == DONE
    assert rows(tree) == [(0, 0, DIRTY | DELALLOC, 91), (1, 2, DIRTY, 92), (3, 3, DIRTY | DELALLOC, 1)]
