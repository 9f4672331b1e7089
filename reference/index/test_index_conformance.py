# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the interface, for every implementation."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from reference.index.testing import IMPLEMENTATIONS, KEYS, Index, Twins, filled
from reference.rbtree import U64_MAX, Extent

implementations = pytest.mark.parametrize("cls", IMPLEMENTATIONS, ids=lambda cls: cls.__name__)


def ends(entries: list[Extent]) -> list[int]:
    return [entry.end for entry in entries]


@implementations
def test_empty(cls: type[Index]) -> None:
    index = cls()
    index.validate()
    assert (len(index), list(index)) == (0, [])
    for offset in (0, 1, U64_MAX):
        assert index.lookup(offset) is None
        assert index.search(offset) is None
        assert index.delete(offset) is None
        assert index.gang_lookup(offset, 3) == []


@implementations
def test_iteration_is_in_order_of_ends(cls: type[Index]) -> None:
    index = filled(cls, [500, 3, 70_000, 64, 63, U64_MAX, 0])
    assert ends(list(index)) == [0, 3, 63, 64, 500, 70_000, U64_MAX]
    assert len(index) == 7
    index.validate()


@implementations
def test_insert_returns_what_is_there_and_leaves_it(cls: type[Index]) -> None:
    index = cls()
    first, second = Extent(0, 9), Extent(5, 9)
    assert index.insert(first) is None
    assert index.insert(second) is first
    assert list(index) == [first]
    index.validate()


@implementations
def test_lookup_is_exact(cls: type[Index]) -> None:
    index = filled(cls, [9, 19])
    assert [index.lookup(end) is not None for end in (8, 9, 10, 18, 19, 20)] == [0, 1, 0, 0, 1, 0]


@implementations
@pytest.mark.parametrize(
    ("offset", "found"), [(0, 9), (9, 9), (10, 19), (19, 19), (20, 4096), (4096, 4096), (4097, None)]
)
def test_search_finds_the_first_that_ends_there_or_later(
    cls: type[Index], offset: int, found: int | None
) -> None:
    entry = filled(cls, [4096, 9, 19]).search(offset)
    assert (entry and entry.end) == found


@implementations
def test_search_at_the_very_end(cls: type[Index]) -> None:
    index = filled(cls, [5, U64_MAX])
    last = index.search(6)
    assert last is index.search(U64_MAX) is index.lookup(U64_MAX)
    assert last is not None
    assert index.next(last) is None
    index.erase(last)
    assert index.search(6) is None
    index.validate()


@implementations
@pytest.mark.parametrize("count", [0, 1, 2, 5, 100, 1000])
def test_gang_lookup(cls: type[Index], count: int) -> None:
    all_ends = [7 * number for number in range(100)]
    index = filled(cls, all_ends)
    for offset in (0, 1, 7, 350, 692, 693):
        expected = [end for end in all_ends if end >= offset][:count]
        assert ends(index.gang_lookup(offset, count)) == expected


@implementations
def test_neighbours(cls: type[Index]) -> None:
    index = filled(cls, [number**3 for number in range(200)])
    entries = list(index)
    assert [index.next(entry) for entry in entries] == [*entries[1:], None]
    assert [index.prev(entry) for entry in entries] == [None, *entries[:-1]]


@implementations
def test_delete_and_erase(cls: type[Index]) -> None:
    index = filled(cls, [1, 2, 3])
    two, three = index.lookup(2), index.lookup(3)
    assert index.delete(2) is two
    assert index.delete(2) is None
    assert three is not None
    index.erase(three)
    assert ends(list(index)) == [1]
    index.validate()


@implementations
def test_an_erased_entry_can_come_back_elsewhere(cls: type[Index]) -> None:
    index = filled(cls, [10, 20, 30])
    entry = index.delete(20)
    assert entry is not None
    entry.start = entry.end = 40
    assert index.insert(entry) is None
    assert ends(list(index)) == [10, 30, 40]
    index.validate()


@implementations
def test_start_may_change_in_place(cls: type[Index]) -> None:
    index = filled(cls, [10, 20, 30])
    entry = index.lookup(20)
    assert entry is not None
    entry.start = 3
    assert index.lookup(20) is index.search(11) is entry
    assert index.search(5) is not entry
    index.validate()


@implementations
def test_emptied_and_filled_again(cls: type[Index]) -> None:
    index = filled(cls, list(range(0, 10_000, 100)))
    for entry in list(index):
        index.erase(entry)
        index.validate()
    assert (len(index), list(index)) == (0, [])
    assert index.insert(Extent(0, 7)) is None
    assert ends(list(index)) == [7]
    index.validate()


@implementations
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_random_operations(cls: type[Index], key: Callable[[random.Random], int]) -> None:
    rng = random.Random(7)
    twins = Twins(cls())
    for number in range(600):
        twins.random_step(rng, key, growing=number % 400 < 300)
        if number % 7 == 0:
            twins.compare()
    twins.compare()


@implementations
def test_many_operations(cls: type[Index]) -> None:
    rng = random.Random(11)
    twins = Twins(cls())
    for number in range(12_000):
        twins.random_step(rng, KEYS["pages"], growing=number % 8_000 < 6_000)
    twins.compare()
