# SPDX-License-Identifier: GPL-2.0-or-later
"""What the trees of different kernels do differently, with the numbers written out."""

from __future__ import annotations

from reference.extent_state.behaviour import Behaviour
from reference.extent_state.bits import LINUX_6_18
from reference.extent_state.testing import BITS, PAGE, pages, rows, tree_of
from reference.extent_state.tree import DONE, ExtentIoTree

DIRTY, LOCKED, DELALLOC, DEFRAG = BITS["DIRTY"], BITS["LOCKED"], BITS["DELALLOC"], BITS["DEFRAG"]
NORESERVE, CLEAR_ALL = BITS["NORESERVE"], BITS["CLEAR_ALL_BITS"]


def test_older_kernels_insert_what_fills_a_hole_and_then_merge() -> None:
    for left, right, expected, erased in (
        (DIRTY, DEFRAG, [(0, 1, DIRTY, 91), (2, 2, DEFRAG, 2)], [1]),
        (DEFRAG, DIRTY, [(0, 0, DEFRAG, 1), (1, 2, DIRTY, 91)], [2]),
        (DIRTY, DIRTY, [(0, 2, DIRTY, 91)], [1, 2]),
        (DEFRAG, DEFRAG, [(0, 0, DEFRAG, 1), (1, 1, DIRTY, 91), (2, 2, DEFRAG, 2)], []),
    ):
        tree = tree_of((0, 0, left), (2, 2, right), behaviour=Behaviour.linux_6_1)
        assert tree.set_section(*pages(1, 1), DIRTY) == DONE
        assert (rows(tree), tree.erased, tree.supply) == (expected, erased, [93, 92])


def test_older_kernels_keep_what_is_locked_apart_in_a_hole_too() -> None:
    tree = tree_of((0, 0, LOCKED), (2, 2, LOCKED), behaviour=Behaviour.linux_6_1)
    tree.set_extent_bit(*pages(1, 1), LOCKED)
    assert rows(tree) == [(0, 0, LOCKED, 1), (1, 1, LOCKED, 91), (2, 2, LOCKED, 2)]


def test_older_kernels_drop_the_lock_after_each_hole() -> None:
    tree = tree_of((1, 1, DELALLOC), behaviour=Behaviour.linux_6_12)
    assert tree.set_section(*pages(0, 2), DEFRAG) == PAGE
    assert tree.set_section(PAGE, 3 * PAGE - 1, DEFRAG) == 2 * PAGE


def test_older_kernels_leave_a_last_byte_to_another_search() -> None:
    for behaviour, at in ((Behaviour.linux_6_18, DONE), (Behaviour.linux_6_12, 4)):
        tree = ExtentIoTree(LINUX_6_18, behaviour)
        tree.set_extent_bit(0, 3, DIRTY)
        tree.set_extent_bit(4, 4, DELALLOC)
        assert tree.set_section(0, 4, DEFRAG) == at


def test_older_kernels_refuse_a_lock_only_to_who_asks_for_nothing_else() -> None:
    tree = tree_of((0, 0, LOCKED), behaviour=Behaviour.linux_5_10)
    assert tree.set_extent_bit(*pages(0, 0), LOCKED) == 0
    assert tree.set_extent_bit(*pages(0, 1), LOCKED | DIRTY) is None
    assert [row[:3] for row in rows(tree)] == [(0, 0, LOCKED | DIRTY), (1, 1, LOCKED | DIRTY)]


def test_older_kernels_drop_the_lock_between_the_splits_of_a_clear() -> None:
    tree = tree_of((0, 3, DIRTY | DELALLOC), behaviour=Behaviour.linux_6_12)
    assert tree.clear_section(*pages(1, 2), DELALLOC) == PAGE
    assert tree.clear_section(*pages(1, 2), DELALLOC) == DONE
    assert rows(tree) == [(0, 0, DIRTY | DELALLOC, 91), (1, 2, DIRTY, 92), (3, 3, DIRTY | DELALLOC, 1)]


def test_clear_looks_no_further_than_its_range() -> None:
    # The first state takes in the second and then reaches the end of the range.
    for behaviour, at in ((Behaviour.linux_6_18, PAGE), (Behaviour.linux_6_12, DONE)):
        tree = tree_of((0, 0, DIRTY | DELALLOC), (1, 1, DELALLOC), (2, 2, DEFRAG), behaviour=behaviour)
        assert tree.clear_section(*pages(0, 1), DIRTY) == at


def test_newer_kernels_trim_instead_of_splitting() -> None:
    head = tree_of((0, 3, DIRTY), behaviour=Behaviour.linux_7_2)
    head.clear_extent_bit(*pages(0, 1), DIRTY)
    assert rows(head) == [(2, 3, DIRTY, 1)]
    tail = tree_of((0, 3, DIRTY), (4, 4, DIRTY | DELALLOC), behaviour=Behaviour.linux_7_2)
    assert tail.clear_section(*pages(2, 4), DIRTY) == DONE
    assert rows(tail) == [(0, 1, DIRTY, 1), (4, 4, DELALLOC, 2)]
    middle = tree_of((0, 3, DIRTY), behaviour=Behaviour.linux_7_2)
    assert middle.clear_section(*pages(1, 2), DIRTY) == DONE
    assert rows(middle) == [(0, 0, DIRTY, 91), (3, 3, DIRTY, 1)]
    assert (head.supply, tail.supply, middle.supply) == ([93, 92, 91], [93, 92, 91], [93, 92])


def test_trimming_wants_the_bits_to_be_named() -> None:
    for asked in (CLEAR_ALL, DELALLOC):
        tree = tree_of((0, 3, DELALLOC | NORESERVE), behaviour=Behaviour.linux_7_2)
        tree.clear_extent_bit(*pages(0, 1), asked)
        assert rows(tree) == [(2, 3, DELALLOC | NORESERVE, 1)]
        assert tree.erased == [91]


def test_older_kernels_convert_again_what_took_in_a_hole() -> None:
    for behaviour, erased, supply in (
        (Behaviour.linux_6_18, [], [93, 92, 91]),
        (Behaviour.linux_6_12, [91], [93, 92]),
    ):
        tree = tree_of((1, 1, DIRTY), behaviour=behaviour)
        tree.convert_extent_bit(*pages(0, 1), DIRTY, DELALLOC)
        assert rows(tree) == [(0, 1, DIRTY, 1)]
        assert (tree.erased, tree.supply) == (erased, supply)


def test_older_kernels_free_the_first_state_first() -> None:
    tree = tree_of((0, 0, DIRTY), (2, 2, DIRTY), (4, 4, DIRTY), (6, 6, DIRTY), behaviour=Behaviour.linux_6_1)
    tree.release()
    assert tree.erased == [1, 2, 3, 4]
    assert len(tree) == 0
