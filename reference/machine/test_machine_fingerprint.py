# SPDX-License-Identifier: GPL-2.0-or-later
"""Digests tell different states apart, and do not tell equal ones apart."""

from __future__ import annotations

import doctest
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum, IntFlag
from functools import partial

import pytest

from reference.machine import (
    Blocked,
    FingerprintError,
    Machine,
    RwLock,
    Slab,
    SlabObject,
    Task,
    WaitQueue,
    fingerprint,
    state_graph,
)
from reference.machine.current import Context
from reference.machine.steps import PREEMPT, Steps


class Bits(IntFlag):
    LOCKED = 1
    DIRTY = 2


class Colour(Enum):
    RED = (1, 2)
    BLACK = (1, 3)


class Node:
    __slots__ = ("index", "next")

    next: Node

    def __init__(self, index: int) -> None:
        self.index = index


class Page:
    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)


class Poisoned(Node):
    __slots__ = ()

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(f"{name} is used")


class Counted:
    def __init__(self, content: int) -> None:
        self.content = content
        self.visits = 0

    def __fingerprint__(self) -> object:
        return self.content


class Numbers(list[int]):
    pass


def linked(*indexes: int) -> Node:
    first = node = Node(indexes[0])
    for index in indexes[1:]:
        node.next = Node(index)
        node = node.next
    return first


def ring(length: int) -> Node:
    nodes = [Node(0) for _ in range(length)]
    for node, after in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        node.next = after
    return nodes[0]


def at(generator: Iterator[object], steps: int) -> object:
    for _ in range(steps):
        next(generator)
    return generator


def over(items: object) -> Iterator[object]:
    for item in items:  # type: ignore[attr-defined]  # noqa: UP028 - the loop is the point
        yield item


def walk(stops: int) -> Steps[None]:
    for _ in range(stops):
        yield PREEMPT


def stroll(stops: int) -> Steps[None]:
    for _ in range(stops):
        yield PREEMPT


def held(lock: RwLock) -> RwLock:
    lock.writer = Context("A")
    return lock


def waits(value: int) -> Steps[object]:
    # What is waited for is in the stop alone: `value` is no longer known.
    stops = [Blocked(partial(bool, value), "value")]
    del value
    yield stops.pop()
    return None


def at_end(result: object) -> Steps[object]:
    yield from ()
    return result


def task(steps: Steps[object], *, held: int = 0, queued: int = 0) -> Task:
    machine = Machine()
    task = machine.task("A", steps)
    task.step()
    task.held += [RwLock("lock")] * held
    task.queued += [WaitQueue().prepare_to_wait()] * queued
    return task


def unset_or(which: int) -> Iterator[None]:
    if which:
        first = 7  # noqa: F841 - where it is kept is the point
    else:
        second = 7  # noqa: F841
    del which
    yield


def inner(total: list[int]) -> Callable[[], int]:
    return lambda: total[0]


def outer(depth: int) -> Iterator[object]:
    yield from over([depth, depth])


ALIKE: list[Callable[[], object]] = [
    lambda: [1, True, None, "x", 1.5, b"x", bytearray(b"x"), 1 << 80],
    lambda: (Bits.LOCKED, Colour.RED, range(3), Node, len, linked),
    lambda: {"a": [Node(1)], 2: {3}, None: frozenset("ab")},
    lambda: deque([Page(a=1), Page(b=2)]),
    lambda: linked(*range(5000)),
    lambda: ring(3),
    lambda: at(over([0, 0, 0]), 2),
    lambda: at(over({1: 1, 2: 2}.items()), 1),
    lambda: at(over(enumerate(zip("ab", "cd", strict=True))), 1),
    lambda: at(over(reversed([1, 2])), 1),
    lambda: at(outer(3), 1),
    lambda: inner([3]),
    lambda: partial(inner, [3]),
    lambda: Page(index=1).__init__,  # type: ignore[misc]
    lambda: [1].append,
    lambda: (WaitQueue("wq"), Slab("extent_state"), SlabObject(), object()),
]


@pytest.mark.parametrize("number", range(len(ALIKE)))
def test_what_is_built_alike_has_one_digest(number: int) -> None:
    build = ALIKE[number]
    assert fingerprint(build()) == fingerprint(build())


def test_no_two_of_them_have_the_same() -> None:
    assert len({fingerprint(build()) for build in ALIKE}) == len(ALIKE)


DIFFERENT: list[tuple[object, object]] = [
    (1, True),
    (-1, -2),
    ("1", 1),
    ("x", b"x"),
    ([1, 2], (1, 2)),
    ([1, 2], [2, 1]),
    ([[1], 2], [[1, 2]]),
    ([[1], []], [[1, []]]),
    (at(walk(3), 1), at(stroll(3), 1)),
    (RwLock("a"), held(RwLock("a"))),
    ({1: 2, 3: 4}, {1: 4, 3: 2}),
    (Bits.LOCKED, Bits.DIRTY),
    (Bits.LOCKED, 1),
    (Colour.RED, Colour.BLACK),
    (Node(1), Page(index=1)),
    (Page(a=1, b=None), Page(a=None, b=1)),
    (linked(1, 2, 3), linked(1, 2, 4)),
    (ring(2), ring(3)),
    ([Poisoned(1)], [Poisoned(2)]),
    (at(walk(3), 0), at(walk(3), 1)),
    (at(walk(3), 1), at(walk(3), 2)),
    (at(walk(3), 1), at(walk(4), 1)),
    (at(walk(1), 1), at(over([PREEMPT]), 1)),
    (at(over([0, 0, 0]), 1), at(over([0, 0, 0]), 2)),
    (at(over(iter((0, 0, 0))), 1), at(over(iter((0, 0, 0))), 2)),
    (at(over({1: 0, 2: 0}.values()), 1), at(over({1: 0, 2: 0}.values()), 2)),
    (at(outer(3), 1), at(outer(3), 2)),
    (at(outer(3), 1), at(outer(4), 1)),
    (at(unset_or(0), 1), at(unset_or(1), 1)),
    (inner([3]), inner([4])),
    (partial(inner, [3]), partial(inner, [4])),
    ([1].append, [2].append),
    (lambda: 1, lambda: 2),
    (Counted(1), Counted(2)),
    (task(waits(1)), task(waits(2))),
    (task(at_end(1)), task(at_end(2))),
    (task(walk(3)), task(walk(3), held=1)),
    (task(walk(3)), task(walk(3), queued=1)),
]


@pytest.mark.parametrize("pair", DIFFERENT, ids=str)
def test_what_differs_has_two_digests(pair: tuple[object, object]) -> None:
    first, second = pair
    assert fingerprint(first) != fingerprint(second)


def test_what_a_class_leaves_out_makes_no_difference() -> None:
    counted = Counted(1)
    before = fingerprint(counted)
    counted.visits += 1
    assert fingerprint(counted) == before


def test_looking_moves_no_loop() -> None:
    items = over([1, 2, 3])
    next(items)
    fingerprint(items)
    assert list(items) == [2, 3]


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({Node(1)}, "sets of objects have no order: use a list or a dict"),
        (Numbers(), "a Numbers has both content and attributes: give it __fingerprint__"),
        (memoryview(b""), "cannot tell the state of a builtins.memoryview"),
        (ValueError(), "cannot tell the state of a builtins.ValueError"),
    ],
)
def test_what_cannot_be_told_is_refused(obj: object, message: str) -> None:
    with pytest.raises(FingerprintError, match=message):
        fingerprint([obj])


def test_of_several_states_without_end_the_one_soonest_met_is_told() -> None:
    graph = state_graph.StateGraph()
    start = graph.enter(b"start")
    graph.ends.append(start)
    far = graph.enter(b"far", graph.enter(b"way", start, "A"), "A")
    near = graph.enter(b"near", start, "B")
    graph.enter(b"far", far, "A")
    graph.enter(b"near", near, "A")
    assert graph.endless() == ("A",)


def test_the_example_of_the_graph_holds() -> None:
    result = doctest.testmod(state_graph)
    assert (result.attempted > 0, result.failed) == (True, 0)
