# SPDX-License-Identifier: GPL-2.0-or-later
"""One suite for all state trees: radix, rbtree, B+tree, mainline; each is held against the naive model."""

from __future__ import annotations

import os
import random
from itertools import islice

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from reference.extent_map import (
    ALL_BITS,
    EXTENT_DIRTY,
    EXTENT_LOCKED,
    EXTENT_UPTODATE,
    EXTENT_WRITEBACK,
    BadBitsError,
    BadRangeError,
    Behaviour,
    extent_map_tree,
    state_tree,
)
from reference.extent_map.bits import GFP_NOFS
from reference.extent_map.naive import NaiveStates
from reference.extent_map.states import States
from reference.extent_map.testing import (
    IMPLEMENTATIONS,
    Implementation,
    agree,
    apply,
    compare,
    implementations,
    random_operations,
    run_bulk,
)
from reference.index import U64_MAX
from reference.machine import run_alone

VOLUME = int(os.environ.get("EXTENT_MAP_VOLUME", "1000000"))
"""Operations of the bulk test over all implementations and pieces; CI does ten million."""
PIECES = [
    (size, way, seed) for size in (6, 24, 100) for way in ("", "extremes", "as_mainline") for seed in range(4)
]
VERSIONS = (Behaviour.corrected_radix, Behaviour.corrected_rbtree)
by_version = pytest.mark.parametrize("behaviour", VERSIONS, ids=lambda behaviour: behaviour.structure)
by_name = pytest.mark.parametrize("name", IMPLEMENTATIONS)


@pytest.mark.parametrize(("size", "way", "seed"), PIECES)
def test_all_agree_in_bulk(size: int, way: str, seed: int) -> None:
    wanted = VOLUME // len(PIECES)
    trees = len(implementations(extremes=way == "extremes", as_mainline=way == "as_mainline"))
    done = run_bulk(
        seed, -(-wanted // trees), size, extremes=way == "extremes", as_mainline=way == "as_mainline"
    )
    assert done >= wanted


def test_the_pieces_cover_every_implementation() -> None:
    covered = {name for flag in (False, True) for name in implementations(as_mainline=flag)}
    assert covered == set(IMPLEMENTATIONS)


def test_random_operations_reach_both_ends_and_single_bytes() -> None:
    operations = list(islice(random_operations(random.Random(1), 24, extremes=True), 3000))
    ranges = {(operation.start, operation.end) for operation in operations}
    assert any(start == end for start, end in ranges)
    assert any(start == 0 and end == U64_MAX for start, end in ranges)
    assert {operation.kind for operation in operations} == {"set", "clear", "test"}
    assert {operation.flag for operation in operations} == {True, False}


def test_disagreement_is_noticed() -> None:
    naive, tree = NaiveStates(8), IMPLEMENTATIONS["rbtree"]()
    naive.set(0, 3, EXTENT_DIRTY, False)
    with pytest.raises(AssertionError, match="rbtree"):
        compare({"rbtree": tree}, naive)
    with pytest.raises(AssertionError, match="rbtree"):
        agree({"rbtree": None}, 3)


@by_name
def test_worked_example(name: str) -> None:
    tree = IMPLEMENTATIONS[name]()
    assert tree.set(0, 16383, EXTENT_DIRTY, False) is None
    assert tree.set(4096, 8191, EXTENT_LOCKED, True) is None
    assert tree.set(0, 16383, EXTENT_LOCKED, True) == 4096
    assert tree.rows() == [(0, 4095, 9), (4096, 8191, 9), (8192, 16383, 1)]
    assert tree.clear(0, 8191, EXTENT_LOCKED, False) in (EXTENT_LOCKED, None)
    assert tree.rows() == [(0, 16383, 1)]
    assert tree.test(0, 16383, EXTENT_DIRTY, True)
    assert not tree.test(0, 16384, EXTENT_DIRTY, True)
    assert tree.clear(16383, 16383, EXTENT_DIRTY, False) in (EXTENT_DIRTY, None)
    assert tree.rows() == [(0, 16382, 1)]
    tree.validate()


@by_name
def test_a_hole_in_front_of_a_state_that_reaches_beyond_the_range(name: str) -> None:
    tree = IMPLEMENTATIONS[name]()
    tree.set(8, 15, EXTENT_UPTODATE, False)
    tree.set(4, 11, EXTENT_DIRTY, False)
    assert tree.rows() == [(4, 7, 1), (8, 11, 5), (12, 15, 4)]


@pytest.mark.parametrize("name", [name for name in IMPLEMENTATIONS if name != "mainline"])
def test_the_last_byte_there_is(name: str) -> None:
    tree = IMPLEMENTATIONS[name]()
    tree.set(U64_MAX, U64_MAX, EXTENT_DIRTY, False)
    tree.set(100, U64_MAX, EXTENT_UPTODATE, False)
    assert tree.rows() == [(100, U64_MAX - 1, 4), (U64_MAX, U64_MAX, 5)]
    assert tree.test(100, U64_MAX, EXTENT_UPTODATE, True)
    assert not tree.test(99, U64_MAX, EXTENT_UPTODATE, True)
    assert tree.clear(U64_MAX, U64_MAX, ALL_BITS, True) == 5
    assert tree.rows() == [(100, U64_MAX - 1, 4)]


BAD_RANGES = [
    (5, 4, "starts behind its end"),
    (-1, 4, "does not fit into 64 bits"),
    (-5, -1, "does not fit into 64 bits"),
    (0, U64_MAX + 1, "does not fit into 64 bits"),
]
BAD_BITS = [(1 << 5, "not all EXTENT_ bits"), (-1, "not all EXTENT_ bits"), (0, "no bits are given")]


def filled(behaviour: Behaviour) -> States:
    states = state_tree(behaviour)
    states.set_extent_bit(0, 9, EXTENT_DIRTY)
    return states


@by_version
@pytest.mark.parametrize(("start", "end", "text"), BAD_RANGES)
def test_bad_ranges_change_nothing(behaviour: Behaviour, start: int, end: int, text: str) -> None:
    states = filled(behaviour)
    with pytest.raises(BadRangeError, match=text):
        states.set_extent_bit(start, end, EXTENT_DIRTY)
    with pytest.raises(BadRangeError, match=text):
        states.clear_extent_bit(start, end, EXTENT_DIRTY)
    assert states.states() == [(0, 9, EXTENT_DIRTY)]
    tree = extent_map_tree(behaviour)
    for steps in (
        tree.set_extent_dirty(start, end, GFP_NOFS),
        tree.clear_extent_dirty(start, end, GFP_NOFS),
        tree.lock_extent(start, end, GFP_NOFS),
        tree.wait_extent_bit(start, end, EXTENT_LOCKED),
        tree.test_range_bit(start, end, EXTENT_LOCKED, False),
        tree.lookup_extent_mapping(start, end),
    ):
        with pytest.raises(BadRangeError, match=text):
            run_alone(steps)
    em = run_alone(tree.alloc_extent_map(GFP_NOFS))
    assert em is not None
    em.start, em.end = start, end
    with pytest.raises(BadRangeError, match=text):
        run_alone(tree.add_extent_mapping(em))
    tree.free_extent_map(em)
    assert tree.states.states() == []
    tree.check_quiet()


@by_version
@pytest.mark.parametrize(("bits", "text"), BAD_BITS)
def test_bad_bits_change_nothing(behaviour: Behaviour, bits: int, text: str) -> None:
    states = filled(behaviour)
    with pytest.raises(BadBitsError, match=text):
        states.set_extent_bit(0, 4, bits)
    with pytest.raises(BadBitsError, match=text):
        states.clear_extent_bit(0, 4, bits)
    assert states.states() == [(0, 9, EXTENT_DIRTY)]
    tree = extent_map_tree(behaviour)
    for steps in (
        tree.set_extent_bit(0, 4, bits, False, None, GFP_NOFS),
        tree.clear_extent_bit(0, 4, bits, False, False, GFP_NOFS),
        tree.wait_extent_bit(0, 4, bits),
        tree.test_range_bit(0, 4, bits, False),
    ):
        with pytest.raises(BadBitsError, match=text):
            run_alone(steps)
    assert tree.states.states() == []


@by_version
def test_deleting_needs_no_bits(behaviour: Behaviour) -> None:
    states = filled(behaviour)
    assert states.clear_extent_bit(2, 4, 0, delete=True) == 0
    assert states.states() == [(0, 1, 1), (5, 9, 1)]
    tree = extent_map_tree(behaviour)
    run_alone(tree.set_extent_dirty(0, 9, GFP_NOFS))
    assert run_alone(tree.clear_extent_bit(2, 4, 0, False, True, GFP_NOFS)) == 0
    assert tree.states.states() == [(0, 1, 1), (5, 9, 1)]


OFFSETS = st.integers(0, 15) | st.integers(U64_MAX - 15, U64_MAX)
RANGES = st.tuples(OFFSETS, OFFSETS).map(lambda pair: (min(pair), max(pair)))


class StateTrees(RuleBasedStateMachine):
    """All trees but mainline's, beside the naive model; validated after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.naive = NaiveStates(16)
        self.trees: dict[str, Implementation] = implementations()

    def agree(self, kind: str, span: tuple[int, int], bits: int, flag: bool) -> None:
        start, end = span
        expected = getattr(self.naive, kind)(start, end, bits, flag)
        agree(
            {name: getattr(tree, kind)(start, end, bits, flag) for name, tree in self.trees.items()}, expected
        )

    @rule(span=RANGES, bits=st.integers(1, ALL_BITS), exclusive=st.booleans())
    def set(self, span: tuple[int, int], bits: int, exclusive: bool) -> None:
        self.agree("set", span, bits, exclusive)

    @rule(span=RANGES, bits=st.integers(1, ALL_BITS), delete=st.booleans())
    def clear(self, span: tuple[int, int], bits: int, delete: bool) -> None:
        self.agree("clear", span, bits, delete)

    @rule(span=RANGES, bits=st.integers(1, ALL_BITS), every=st.booleans())
    def test(self, span: tuple[int, int], bits: int, every: bool) -> None:
        self.agree("test", span, bits, every)

    @invariant()
    def same_and_sound(self) -> None:
        compare(self.trees, self.naive)


TestStateTrees = StateTrees.TestCase
TestStateTrees.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


class MainlineTree(RuleBasedStateMachine):
    """The heir beside its ancestors: LOCKED alone and always exclusive."""

    def __init__(self) -> None:
        super().__init__()
        self.naive = NaiveStates(16)
        self.trees = implementations(as_mainline=True)

    @rule(seed=st.integers(0, 2**32))
    def some(self, seed: int) -> None:
        for operation in islice(random_operations(random.Random(seed), 16, as_mainline=True), 3):
            expected = apply(self.naive, operation)
            agree({name: apply(tree, operation) for name, tree in self.trees.items()}, expected)

    @invariant()
    def same_and_sound(self) -> None:
        compare(self.trees, self.naive)


TestMainlineTree = MainlineTree.TestCase
TestMainlineTree.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_states_under_io_are_not_merged() -> None:
    for behaviour in VERSIONS:
        states = state_tree(behaviour)
        states.set_extent_bit(0, 3, EXTENT_WRITEBACK)
        states.set_extent_bit(4, 7, EXTENT_WRITEBACK)
        assert states.states() == [(0, 3, 2), (4, 7, 2)]
