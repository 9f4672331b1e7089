# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests share: all implementations behind one interface, random operations, and the bulk runner."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, Protocol

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.bits import (
    EXTENT_DIRTY,
    EXTENT_LOCKED,
    EXTENT_NEW,
    EXTENT_UPTODATE,
    EXTENT_WRITEBACK,
)
from reference.extent_map.make import state_tree
from reference.extent_map.naive import NaiveStates
from reference.extent_map.rbtree_states import RbtreeStates
from reference.extent_map.states import States
from reference.extent_state import LINUX_6_18, ExtentIoTree
from reference.index import U64_MAX, BPlusTree

__all__ = [
    "BITS",
    "IMPLEMENTATIONS",
    "Implementation",
    "Operation",
    "Row",
    "agree",
    "apply",
    "implementations",
    "joined",
    "random_operations",
    "run_bulk",
]

BITS = (EXTENT_DIRTY, EXTENT_WRITEBACK, EXTENT_UPTODATE, EXTENT_LOCKED, EXTENT_NEW)
Row = tuple[int, int, int]
"""Start, end (bytes, inclusive), bits."""


class Operation(NamedTuple):
    """A call: "set" (`flag`: exclusive), "clear" (delete) or "test" (filled)."""

    kind: str
    start: int
    end: int
    bits: int
    flag: bool


class Implementation(Protocol):
    """A state tree."""

    def set(self, start: int, end: int, bits: int, exclusive: bool) -> int | None:
        """Set bits; return the offset where an exclusive set failed."""

    def clear(self, start: int, end: int, bits: int, delete: bool) -> int | None:
        """Clear bits; return those that were set."""

    def test(self, start: int, end: int, bits: int, filled: bool) -> bool:
        """Tell whether some byte, or each, has one of the bits."""

    def rows(self) -> list[Row]:
        """Return the states, in order."""

    def validate(self) -> None:
        """Raise AssertionError if an invariant is broken."""


class Of2007:
    """A state tree of reference/extent_map."""

    def __init__(self, states: States) -> None:
        self.states = states
        self.set = states.set_extent_bit
        self.rows = states.states
        self.validate = states.validate

    def clear(self, start: int, end: int, bits: int, delete: bool) -> int:
        return self.states.clear_extent_bit(start, end, bits, True, delete)

    def test(self, start: int, end: int, bits: int, filled: bool) -> bool:
        return bool(self.states.test_range_bit(start, end, bits, filled))


_NEW_BITS = LINUX_6_18.names
_TODAY = {
    EXTENT_DIRTY: _NEW_BITS["DIRTY"],
    EXTENT_WRITEBACK: _NEW_BITS["NEED_WAIT"],
    EXTENT_UPTODATE: _NEW_BITS["DEFRAG"],
    EXTENT_LOCKED: _NEW_BITS["LOCKED"],
    EXTENT_NEW: _NEW_BITS["DELALLOC_NEW"],
}
"""The bits of 2007 as bits of 6.18 to which its tree does nothing else; LOCKED is LOCKED."""


class Mainline:
    """The heir: reference/extent_state. Setting LOCKED is always exclusive there, nothing else ever is."""

    def __init__(self) -> None:
        self.tree = ExtentIoTree(LINUX_6_18)
        self.validate = self.tree.validate

    def set(self, start: int, end: int, bits: int, exclusive: bool) -> int | None:
        assert exclusive == (bits == EXTENT_LOCKED)
        return self.tree.set_extent_bit(start, end, self._today(bits))

    def clear(self, start: int, end: int, bits: int, delete: bool) -> None:
        everything = _NEW_BITS["CLEAR_ALL_BITS"] if delete else 0
        self.tree.clear_extent_bit(start, end, self._today(bits) | everything)

    def test(self, start: int, end: int, bits: int, filled: bool) -> bool:
        today = self._today(bits)
        if filled:
            return self.tree.test_range_bit(start, end, today)
        return self.tree.test_range_bit_exists(start, end, today)

    def rows(self) -> list[Row]:
        return [(start, end, self._of_2007(bits)) for start, end, bits, _ in self.tree.states()]

    def _today(self, bits: int) -> int:
        return sum(today for old, today in _TODAY.items() if bits & old)

    def _of_2007(self, bits: int) -> int:
        return sum(old for old, today in _TODAY.items() if bits & today)


IMPLEMENTATIONS: dict[str, Callable[[], Implementation]] = {
    "radix": lambda: Of2007(state_tree(Behaviour.corrected_radix)),
    "rbtree": lambda: Of2007(state_tree(Behaviour.corrected_rbtree)),
    "bplus": lambda: Of2007(RbtreeStates(BPlusTree(), Behaviour.corrected_rbtree)),
    "mainline": Mainline,
}
"""All of them but the naive one. `bplus` is the second version over the B+tree."""


def joined(rows: Iterable[Row]) -> list[Row]:
    """Return rows with equal neighbours made one: whether states under I/O are merged is no matter here."""
    result: list[Row] = []
    for start, end, bits in rows:
        if result and result[-1][1] + 1 == start and result[-1][2] == bits:
            result[-1] = (result[-1][0], end, bits)
        else:
            result.append((start, end, bits))
    return result


def random_operations(
    rng: random.Random, size: int, *, extremes: bool = False, as_mainline: bool = False
) -> Iterator[Operation]:
    """Make operations without end on [0, `size`), with `extremes` on [2^64 - `size`, 2^64) and across too.

    With `as_mainline`, LOCKED is set alone and always exclusively, and nothing else exclusively.
    """
    while True:
        start, end = _random_range(rng, size, extremes)
        bits = BITS[int(rng.random() * 5)]
        chance = rng.random()
        if chance < 0.1:
            yield Operation("test", start, end, bits, chance < 0.05)
            continue
        if rng.random() < 0.2:
            bits |= BITS[int(rng.random() * 5)]
        if chance < 0.55:
            if as_mainline and bits & EXTENT_LOCKED:
                bits = EXTENT_LOCKED
            exclusive = bits == EXTENT_LOCKED or (not as_mainline and chance < 0.2)
            yield Operation("set", start, end, bits, exclusive)
        else:
            yield Operation("clear", start, end, bits, chance < 0.62)


def _random_range(rng: random.Random, size: int, extremes: bool) -> tuple[int, int]:
    chance = rng.random()
    start = int(rng.random() * size)
    # Short ranges more often than long ones, single bytes among them.
    end = start + int((size - start) * chance * chance)
    if not extremes:
        return start, end
    if chance < 0.1:
        return start, U64_MAX - int(rng.random() * 3)
    return (start, end) if chance < 0.5 else (U64_MAX - end, U64_MAX - start)


def apply(implementation: Implementation | NaiveStates, operation: Operation) -> object:
    """Do `operation` and return its result."""
    kind, start, end, bits, flag = operation
    if kind == "set":
        return implementation.set(start, end, bits, flag)
    if kind == "clear":
        return implementation.clear(start, end, bits, flag)
    return implementation.test(start, end, bits, flag)


def agree(results: dict[str, object], expected: object) -> None:
    """Assert that all results are the expected one; None may be "cannot tell"."""
    for name, result in results.items():
        assert result == expected or (name == "mainline" and result is None), (name, result, expected)


def implementations(*, extremes: bool = False, as_mainline: bool = False) -> dict[str, Implementation]:
    """Return fresh ones; the mainline tree wraps around at 2^64 as its kernel does, so seldom it."""
    wanted = (name for name in IMPLEMENTATIONS if name != "mainline" or (as_mainline and not extremes))
    return {name: IMPLEMENTATIONS[name]() for name in wanted}


def run_bulk(
    seed: int, count: int, size: int = 24, *, extremes: bool = False, as_mainline: bool = False
) -> int:
    """Do `count` random operations on all implementations and compare each with the naive model.

    Each result is compared; all bytes, and the invariants, every hundred operations or so, and at the end.
    Returns how many operations were done, each implementation's counted.
    """
    rng = random.Random(seed)
    naive = NaiveStates(size)
    trees = implementations(extremes=extremes, as_mainline=as_mainline)
    operations = islice(random_operations(rng, size, extremes=extremes, as_mainline=as_mainline), count)
    for number, operation in enumerate(operations):
        expected = apply(naive, operation)
        for name, tree in trees.items():
            result = apply(tree, operation)
            if result != expected:
                agree({name: result}, expected)
        if number % 101 == 0:
            compare(trees, naive)
    compare(trees, naive)
    return count * len(trees)


def compare(trees: dict[str, Implementation], naive: NaiveStates) -> None:
    """Assert that all trees hold what `naive` holds, and validate."""
    rows = naive.rows()
    for name, tree in trees.items():
        assert joined(tree.rows()) == rows, name
        tree.validate()
