# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree against the naive models: in volume, with operations interleaved, and by hypothesis."""

from __future__ import annotations

import os
import random
from itertools import product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reference.extent_state.behaviour import Behaviour
from reference.extent_state.bits import LINUX_6_18
from reference.extent_state.naive import NaiveOffsets, NaiveStates, Sections
from reference.extent_state.testing import BEHAVIOURS, BITS, Operation, random_operations, section
from reference.extent_state.tree import FAILED, ExtentIoTree

by_behaviour = pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.name)
VOLUME = int(os.environ.get("EXTENT_STATE_VOLUME", "80000"))
"""Operations of the volume test, for each behaviour."""


def naive_sections(naive: NaiveStates, operation: Operation) -> Sections:
    if operation.kind == "set":
        return naive.set(operation.start, operation.end, operation.bits)
    if operation.kind == "clear":
        return naive.clear(operation.start, operation.end, operation.bits)
    return naive.convert(operation.start, operation.end, operation.bits, operation.clear_bits)


def settle(tree: ExtentIoTree, naive: NaiveStates) -> None:
    """Compare, giving `naive` the survivors that the tree chose where both were possible."""
    choices: list[tuple[dict[int, int], dict[int, int]]]
    choices = [({}, {kept: erased, erased: kept}) for kept, erased in naive.either]
    before = naive.states(), naive.erased
    for names in product(*choices):
        for exchange in names:
            naive.rename(exchange)
        if (naive.states(), naive.erased) == (tree.states(), tree.erased):
            break
        for exchange in reversed(names):
            naive.rename(exchange)
    else:
        assert before == (tree.states(), tree.erased)
    assert naive.supply == tree.supply
    for either in (naive.either, naive.erased, tree.erased):
        either.clear()


class Pair:
    """The tree and the naive list, given the same sections."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.tree = ExtentIoTree(LINUX_6_18, behaviour)
        self.naive = NaiveStates(LINUX_6_18, behaviour)
        self.idents = 0
        self.running: dict[str, tuple[Operation, int, Sections]] = {}

    def feed(self) -> None:
        while len(self.tree.supply) < 2 * len(self.tree) + 4:
            self.idents += 1
            self.tree.supply.insert(0, self.idents)
            self.naive.supply.insert(0, self.idents)

    def begin(self, task: str, operation: Operation) -> None:
        self.running[task] = operation, operation.start, naive_sections(self.naive, operation)

    def step(self, task: str) -> None:
        """Do one section of the task's operation, and forget it when it is done."""
        operation, at, sections = self.running.pop(task)
        self.feed()
        at = section(self.tree, operation, at)
        if at >= 0:
            assert next(sections) == at
            self.running[task] = operation, at, sections
        else:
            with pytest.raises(StopIteration) as done:
                next(sections)
            assert done.value.value == (self.tree.failed_start if at == FAILED else None)
        settle(self.tree, self.naive)
        assert self.tree.unsupplied == 0

    def whole(self, operation: Operation) -> None:
        if operation.kind == "release":
            self.tree.release()
            self.naive.release()
            assert sorted(self.tree.erased) == sorted(self.naive.erased)
            assert not self.tree.states()
            self.tree.erased.clear()
            self.naive.erased.clear()
            return
        self.begin("only", operation)
        while "only" in self.running:
            self.step("only")

    def validate(self) -> None:
        self.tree.validate(unfinished={at for _, at, _ in self.running.values()})


@by_behaviour
@pytest.mark.parametrize(("pages", "extremes"), [(6, False), (30, True)])
def test_states_and_identity_in_volume(behaviour: Behaviour, pages: int, extremes: bool) -> None:
    rng = random.Random(pages)
    pair = Pair(behaviour)
    for operation in random_operations(rng, VOLUME // 10, pages, extremes=extremes):
        pair.whole(operation)
        if rng.random() < 0.2:
            pair.validate()


@by_behaviour
def test_interleaved_operations(behaviour: Behaviour) -> None:
    rng = random.Random(4)
    pair = Pair(behaviour)
    interleaved = 0
    for number, operation in enumerate(random_operations(rng, 20_000, 24)):
        if operation.kind != "release":
            pair.begin(f"task {number}", operation)
        while len(pair.running) > 2 or (pair.running and rng.random() < 0.6):
            pair.step(rng.choice(list(pair.running)))
            pair.validate()
            interleaved += len(pair.running) > 1
    assert interleaved > 1000


def expand(tree: ExtentIoTree, size: int) -> list[int]:
    bits = [0] * size
    for state in tree:
        bits[state.start : state.end + 1] = [state.state] * (state.end + 1 - state.start)
    return bits


def apply_naively(naive: NaiveOffsets, operation: Operation) -> int | None:
    if operation.kind == "set":
        return naive.set(operation.start, operation.end, operation.bits)
    if operation.kind == "clear":
        naive.clear(operation.start, operation.end, operation.bits)
    elif operation.kind == "convert":
        naive.convert(operation.start, operation.end, operation.bits, operation.clear_bits)
    else:
        naive.bits = [0] * len(naive.bits)
    return None


def apply(tree: ExtentIoTree, operation: Operation) -> int | None:
    if operation.kind == "set":
        return tree.set_extent_bit(operation.start, operation.end, operation.bits)
    if operation.kind == "clear":
        tree.clear_extent_bit(operation.start, operation.end, operation.bits)
    elif operation.kind == "convert":
        tree.convert_extent_bit(operation.start, operation.end, operation.bits, operation.clear_bits)
    else:
        tree.release()
    return None


@by_behaviour
@pytest.mark.parametrize("size", [7, 64])
def test_contents_in_volume(behaviour: Behaviour, size: int) -> None:
    rng = random.Random(size)
    tree = ExtentIoTree(LINUX_6_18, behaviour)
    naive = NaiveOffsets(LINUX_6_18, size, behaviour)
    for number, operation in enumerate(random_operations(rng, VOLUME // 2, size, 1)):
        assert apply(tree, operation) == apply_naively(naive, operation)
        if number % 8 == 0:
            assert expand(tree, size) == naive.bits
        if number % 64 == 0:
            tree.validate()


OFFSETS = st.integers(0, 15)
STORED = [value for value in BITS.values() if not value & (LINUX_6_18.ctlbits | BITS["NOWAIT"])]
SOME_BITS = st.sampled_from(STORED) | st.builds(int.__or__, st.sampled_from(STORED), st.sampled_from(STORED))
ANY_BITS = st.sampled_from(list(BITS.values())) | SOME_BITS


class Machine(RuleBasedStateMachine):
    """Tree, list and offsets side by side, on sixteen offsets."""

    @initialize(behaviour=st.sampled_from(BEHAVIOURS))
    def begin(self, behaviour: Behaviour) -> None:
        self.pair = Pair(behaviour)
        self.offsets = NaiveOffsets(LINUX_6_18, 16, behaviour)

    def do(self, kind: str, ends: tuple[int, int], bits: int, clear_bits: int = 0) -> None:
        operation = Operation(kind, min(ends), max(ends), bits, clear_bits)
        failed = apply_naively(self.offsets, operation)
        self.pair.whole(operation)
        if failed is not None:
            assert self.pair.tree.failed_start == failed

    @rule(ends=st.tuples(OFFSETS, OFFSETS), bits=SOME_BITS)
    def set_bits(self, ends: tuple[int, int], bits: int) -> None:
        self.do("set", ends, bits)

    @rule(ends=st.tuples(OFFSETS, OFFSETS), bits=ANY_BITS)
    def clear_bits(self, ends: tuple[int, int], bits: int) -> None:
        self.do("clear", ends, bits)

    @rule(ends=st.tuples(OFFSETS, OFFSETS), bits=SOME_BITS, clear=SOME_BITS)
    def convert_bits(self, ends: tuple[int, int], bits: int, clear: int) -> None:
        self.do("convert", ends, bits, clear & ~bits)

    @rule()
    def release(self) -> None:
        self.do("release", (0, 15), 0)

    @rule()
    def copy(self) -> None:
        self.pair.tree = self.pair.tree.copy()

    @rule(offset=OFFSETS, bits=SOME_BITS)
    def query(self, offset: int, bits: int) -> None:
        having = [bool(held & bits) for held in self.offsets.bits[offset:]]
        found = self.pair.tree.find_first_extent_bit(offset, bits)
        assert (found is not None) == any(having)
        if found:
            assert max(found[0], offset) == offset + having.index(True)

    @invariant()
    def agrees(self) -> None:
        assert expand(self.pair.tree, 16) == self.offsets.bits
        self.pair.validate()


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase
