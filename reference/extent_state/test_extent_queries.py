# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be asked of a tree, against the same question put to every single offset."""

from __future__ import annotations

import random

import pytest

from reference.extent_state.bits import LINUX_6_18
from reference.extent_state.state import U64_MAX
from reference.extent_state.testing import BITS, random_operations
from reference.extent_state.tree import ExtentIoTree

DIRTY, DELALLOC, BOUNDARY, DEFRAG = BITS["DIRTY"], BITS["DELALLOC"], BITS["BOUNDARY"], BITS["DEFRAG"]
SIZE = 40


def tree_of(*states: tuple[int, int, int]) -> ExtentIoTree:
    tree = ExtentIoTree(LINUX_6_18)
    for start, end, bits in states:
        tree.set_extent_bit(start, end, bits)
    return tree


@pytest.fixture
def tree() -> ExtentIoTree:
    return tree_of((10, 19, DIRTY), (20, 29, DELALLOC), (40, 49, DELALLOC | DIRTY))


def test_find_first(tree: ExtentIoTree) -> None:
    assert tree.find_first_extent_bit(0, DELALLOC) == (20, 29)
    assert tree.find_first_extent_bit(29, DELALLOC | DIRTY) == (20, 29)
    assert tree.find_first_extent_bit(30, DELALLOC) == (40, 49)
    assert tree.find_first_extent_bit(50, DELALLOC) is None
    assert tree.find_first_extent_bit(0, DEFRAG) is None


def test_find_contiguous(tree: ExtentIoTree) -> None:
    assert tree.find_contiguous_extent_bit(0, DIRTY) == (10, 29)
    assert tree.find_contiguous_extent_bit(0, DELALLOC) == (20, 29)
    assert tree.find_contiguous_extent_bit(50, DIRTY) is None
    assert tree_of((0, U64_MAX, DIRTY)).find_contiguous_extent_bit(5, DIRTY) == (0, U64_MAX)


def test_find_delalloc(tree: ExtentIoTree) -> None:
    assert tree.find_delalloc_range(12, 100) == (False, 12, 19)
    assert tree.find_delalloc_range(50, 100) == (False, 50, U64_MAX)
    assert tree.find_delalloc_range(25, 100) == (True, 20, 29)
    assert tree.find_delalloc_range(31, 100) == (True, 40, 49)


def test_delalloc_goes_on_to_the_limit_a_hole_or_a_boundary() -> None:
    states = [(0, 9, DELALLOC), (10, 19, DELALLOC | DIRTY), (20, 29, DELALLOC | BOUNDARY), (30, 39, DELALLOC)]
    tree = tree_of(*states)
    assert tree.find_delalloc_range(0, 100) == (True, 0, 19)
    assert tree.find_delalloc_range(0, 11) == (True, 0, 19)
    assert tree.find_delalloc_range(0, 10) == (True, 0, 9)
    assert tree.find_delalloc_range(20, 100) == (True, 20, 39)
    tree = tree_of((0, 9, DELALLOC), (10, 19, DELALLOC | DIRTY), (20, 29, DELALLOC))
    assert tree.find_delalloc_range(0, 20) == (True, 0, 19)
    assert tree.find_delalloc_range(0, 21) == (True, 0, 29)
    tree.clear_extent_bit(10, 10, DELALLOC)
    assert tree.find_delalloc_range(0, 100) == (True, 0, 9)


def test_find_first_clear(tree: ExtentIoTree) -> None:
    assert ExtentIoTree(LINUX_6_18).find_first_clear_extent_bit(7, DIRTY) == (0, U64_MAX)
    assert tree.find_first_clear_extent_bit(3, DIRTY) == (0, 9)
    assert tree.find_first_clear_extent_bit(12, DIRTY) == (20, 39)
    assert tree.find_first_clear_extent_bit(25, DIRTY) == (20, 39)
    assert tree.find_first_clear_extent_bit(25, DELALLOC) == (30, 39)
    assert tree.find_first_clear_extent_bit(60, DIRTY) == (50, U64_MAX)
    # With states left that lack the bits, the range ends with the last of them.
    assert tree.find_first_clear_extent_bit(12, DEFRAG) == (10, 49)


def test_find_first_clear_at_the_end_of_the_world() -> None:
    tree = tree_of((100, U64_MAX, DIRTY))
    assert tree.find_first_clear_extent_bit(200, DIRTY) == (0, 99)
    tree.set_extent_bit(0, 99, DIRTY)
    with pytest.raises(OverflowError, match="for ever"):
        tree.find_first_clear_extent_bit(200, DIRTY)


def test_count(tree: ExtentIoTree) -> None:
    assert tree.count_range_bits(0, U64_MAX, U64_MAX, DELALLOC) == (20, 20)
    assert tree.count_range_bits(25, 44, U64_MAX, DELALLOC) == (10, 25)
    assert tree.count_range_bits(0, U64_MAX, U64_MAX, DELALLOC, contig=True) == (10, 20)
    assert tree.count_range_bits(0, U64_MAX, U64_MAX, DIRTY, contig=True) == (10, 10)
    assert tree.count_range_bits(0, U64_MAX, U64_MAX, DIRTY | DELALLOC) == (10, 40)
    assert tree.count_range_bits(0, U64_MAX, 11, DELALLOC) == (20, 20)
    assert tree.count_range_bits(0, U64_MAX, 10, DELALLOC) == (10, 0)
    assert tree.count_range_bits(30, 29, U64_MAX, DELALLOC) == (0, 30)


def test_count_goes_on_over_contiguous_states() -> None:
    tree = tree_of((0, 9, DIRTY), (10, 19, DIRTY | DELALLOC), (21, 29, DIRTY))
    assert tree.count_range_bits(5, 40, U64_MAX, DIRTY, contig=True) == (15, 5)


def test_test_range(tree: ExtentIoTree) -> None:
    assert tree.test_range_bit(40, 49, DIRTY)
    assert tree.test_range_bit(12, 13, DIRTY)
    assert not tree.test_range_bit(40, 50, DIRTY)
    assert not tree.test_range_bit(5, 12, DIRTY)
    assert not tree.test_range_bit(10, 20, DIRTY)
    assert tree_of((0, U64_MAX, DIRTY)).test_range_bit(9, U64_MAX, DIRTY)
    assert tree.test_range_bit_exists(29, 40, DIRTY)
    assert not tree.test_range_bit_exists(20, 39, DIRTY)
    assert not tree.test_range_bit_exists(50, U64_MAX, DIRTY)


def test_get_range_bits(tree: ExtentIoTree) -> None:
    assert tree.get_range_bits(15, 25) == DIRTY | DELALLOC
    assert tree.get_range_bits(15, 19) == DIRTY
    assert tree.get_range_bits(30, 39) == 0


@pytest.mark.parametrize("seed", range(4))
def test_answers_agree_with_every_offset(seed: int) -> None:
    rng = random.Random(seed)
    tree = ExtentIoTree(LINUX_6_18)
    for operation in random_operations(rng, 600, SIZE, 1):
        if operation.kind == "set":
            tree.set_extent_bit(operation.start, operation.end, operation.bits)
        elif operation.kind == "clear":
            tree.clear_extent_bit(operation.start, operation.end, operation.bits)
        held = [tree.get_range_bits(offset, offset) for offset in range(SIZE)]
        start = rng.randrange(SIZE)
        end = rng.randrange(start, SIZE)
        bit = rng.choice([DIRTY, DELALLOC, DEFRAG])
        inside = [bool(bits & bit) for bits in held[start : end + 1]]
        assert tree.test_range_bit(start, end, bit) == all(inside)
        assert tree.test_range_bit_exists(start, end, bit) == any(inside)
        expected = start + inside.index(True) if any(inside) else start
        assert tree.count_range_bits(start, end, U64_MAX, bit) == (sum(inside), expected)
        clear_start, clear_end = tree.find_first_clear_extent_bit(start, bit)
        assert not any(bits & bit for bits in held[clear_start : clear_end + 1])
        assert all(bits & bit for bits in held[start:clear_start])
