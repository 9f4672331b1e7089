# SPDX-License-Identifier: GPL-2.0-or-later
"""Lookups without a lock: which index hides an entry that was there all the time."""

from __future__ import annotations

import pytest

from reference.index.bplus import BPlusTree
from reference.index.lockless import Change, Trial, finish, lockless_lookup, trials
from reference.index.naive import NaiveIndex
from reference.index.radix import RadixTree
from reference.index.rbtree import RbTree
from reference.index.testing import COUNTABLE, Index, filled

TENS = list(range(10, 410, 10))


def all_changes(ends: list[int]) -> list[Change]:
    return [Change("insert", end + 5) for end in [0, *ends]] + [Change("delete", end) for end in ends]


def missed(tried: list[Trial]) -> list[Trial]:
    return [trial for trial in tried if not trial.found]


@pytest.mark.parametrize("cls", COUNTABLE)
def test_without_a_writer_lookups_find_what_is_there(cls: type[Index]) -> None:
    index = filled(cls, [0, 5, 4095, *range(10_000, 12_000, 10)])
    for end in (0, 1, 5, 4095, 4096, 11_000, 11_001, 1 << 40):
        assert finish(lockless_lookup(index, end)) is index.lookup(end)


def test_two_entries_suffice() -> None:
    """10, the root, has 20: who has read where the root is loses 20 when 30 makes it the root."""
    tried = list(trials(RbTree, [10, 20], [Change("insert", 30)]))
    assert missed(tried) == [Trial(20, 0, Change("insert", 30), False)]


def test_a_rotation_hides_a_branch() -> None:
    """20 has 10 and 30, that has 40: who is on 30 towards 40 loses it when 50 makes 40 rise above 30."""
    tried = list(trials(RbTree, [10, 20, 30, 40], [Change("insert", 50)]))
    assert missed(tried) == [Trial(40, 1, Change("insert", 50), False)]


def test_an_erasure_hides_the_successor() -> None:
    """20, the root, has 10 and 40, that has 30 and 50: the way to 30 is a dead end when 30 becomes root."""
    tried = list(trials(RbTree, [10, 20, 30, 40, 50], [Change("delete", 20)]))
    assert [(trial.end, trial.node) for trial in missed(tried)] == [(30, 0), (30, 1)]


@pytest.mark.parametrize(
    ("cls", "count", "hidden"), [(RbTree, 15_120, 219), (RadixTree, 6_400, 0), (BPlusTree, 6_400, 0)]
)
def test_all_lookups_among_40_entries(cls: type[Index], count: int, hidden: int) -> None:
    tried = list(trials(cls, TENS, all_changes(TENS)))
    assert (len(tried), len(missed(tried))) == (count, hidden)


def test_a_bplus_tree_hides_nothing_when_it_grows_a_level() -> None:
    ends = list(range(0, 10 * (15 * 8 + 16), 10))
    full = [*ends, *range(561, 569)]
    assert missed(list(trials(BPlusTree, full, [Change("insert", 569)]))) == []


def test_a_radix_tree_hides_the_rest_when_it_shrinks() -> None:
    """As in 2.6.22: from height 3 to 1, two nodes are emptied. 2.6.26 waits until nobody reads them."""
    ends = [0, 10, 5_000]
    tried = list(trials(RadixTree, ends, all_changes(ends)))
    shrink = Change("delete", 5_000)
    assert missed(tried) == [Trial(end, node, shrink, False) for end in (0, 10) for node in (0, 1)]


def test_other_indexes_cannot_be_read_without_a_lock() -> None:
    with pytest.raises(TypeError, match="NaiveIndex has no lookup without a lock"):
        lockless_lookup(NaiveIndex(), 5)
