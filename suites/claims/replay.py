# SPDX-License-Identifier: GPL-2.0-or-later
"""Recorded operations repeated on the trees of 2007, and held against the recorded kernel's checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from harness.capture.checkpoints import Checkpoint
from harness.judge.applied import Call, CallKind, applied, trees
from harness.judge.extent_state import ReplayedRecord
from reference.index import U64_MAX
from suites.claims.masks import Masks
from suites.claims.variants import OpaqueStates

__all__ = ["Comparison", "Range", "Trace", "compare", "joined", "trace_of"]

Range = tuple[int, int, int]
"""start, end (inclusive), bits of the models."""


@dataclass(frozen=True)
class Step:
    """A call in the terms of the 2007 trees."""

    kind: CallKind
    start: int
    end: int
    bits: int
    flag: bool = False
    """Of a set: exclusive. Of a clear: delete."""
    failed_start: int | None = None
    checkpoint: int = 0

    def apply(self, states: OpaqueStates) -> int | None:
        """Do it; return where an exclusive set failed."""
        if self.kind == CallKind.SET:
            return states.set(self.start, self.end, self.bits, self.flag)
        states.clear(self.start, self.end, self.bits, self.flag)
        return None


@dataclass(frozen=True)
class Trace:
    """What was done to each tree of a record."""

    name: str
    trees: dict[int, list[Step]]
    checkpoints: list[Checkpoint]
    masks: Masks

    @property
    def operations(self) -> int:
        """Calls that change a tree."""
        return sum(step.kind != CallKind.CHECKPOINT for step in chain(*self.trees.values()))


@dataclass
class Comparison:
    """How much was held against the kernel, and what differed (a line each)."""

    checkpoints: int = 0
    """Trees at checkpoints."""
    ranges: int = 0
    """Ranges of the kernel, and of the tree where it had more."""
    sets: int = 0
    """Exclusive sets."""
    refused: int = 0
    """Those of them that failed, at the byte where they failed in the record."""
    wrong: list[str] = field(default_factory=list)


def trace_of(name: str, record: ReplayedRecord) -> Trace:
    """Return what a judged record did."""
    masks = Masks(record.bits, record.behaviour)
    return Trace(
        name,
        {tree: list(_steps(applied(record, tree), masks)) for tree in trees(record)},
        record.checkpoints,
        masks,
    )


def _steps(calls: Iterable[Call], masks: Masks) -> Iterator[Step]:
    for call in calls:
        start, end = call.start, call.end
        if call.kind == CallKind.CHECKPOINT:
            yield Step(call.kind, 0, 0, 0, checkpoint=call.operation)
        elif call.kind == CallKind.RELEASE:
            yield Step(CallKind.CLEAR, 0, U64_MAX, 0, flag=True)
        elif call.kind == CallKind.CLEAR:
            everything = masks.everything(call.bits)
            yield Step(CallKind.CLEAR, start, end, masks.cleared(call.bits), everything)
        elif call.kind == CallKind.SET:
            yield from _set(call, masks)
        else:
            # No call of 2007 does both; done one after the other, the outcome is the same.
            yield Step(CallKind.SET, start, end, masks.stored(call.bits))
            yield Step(CallKind.CLEAR, start, end, masks.stored(call.clear_bits))


def _set(call: Call, masks: Masks) -> Iterator[Step]:
    """Exclusive sets of 2007 ask for all of their bits: where a kernel's asks for some, it is two calls."""
    start, end = call.start, call.end
    exclusive = masks.exclusive(call.bits)
    if exclusive:
        yield Step(CallKind.SET, start, end, masks.stored(exclusive), True, call.failed_start)
        if call.failed_start is not None:
            end = call.failed_start - 1
    others = masks.stored(call.bits & ~exclusive)
    if start <= end and (others or not exclusive):
        yield Step(CallKind.SET, start, end, others)


def compare(trace: Trace, new_states: Callable[[], OpaqueStates]) -> Comparison:
    """Repeat `trace` on new trees; hold exclusive sets and, at valid checkpoints, all ranges and bits."""
    found = Comparison()
    for tree, steps in trace.trees.items():
        states = new_states()
        for step in steps:
            if step.kind == CallKind.CHECKPOINT:
                _compare_contents(trace, tree, step.checkpoint, states, found)
                continue
            failed_start = step.apply(states)
            if step.kind == CallKind.SET and step.flag:
                found.sets += 1
                found.refused += failed_start is not None
                if failed_start != step.failed_start:
                    found.wrong.append(
                        f"{trace.name}: tree {tree:#x}: {step}: the tree failed at {failed_start}"
                    )
    return found


def _compare_contents(trace: Trace, tree: int, number: int, states: OpaqueStates, found: Comparison) -> None:
    checkpoint = trace.checkpoints[number]
    recorded = [t for t in checkpoint.trees if t.tree == tree]
    if not (checkpoint.valid and recorded):
        return
    rows = recorded[0].states
    columns = (rows[name].tolist() for name in ("start", "end", "bits"))
    kernel = joined((s, e, trace.masks.stored(b)) for s, e, b in zip(*columns, strict=True))
    ours = joined((state.start, state.end, state.state) for state in states)
    found.checkpoints += 1
    found.ranges += max(len(kernel), len(ours))
    if kernel != ours:
        first = next(pair for pair in zip([*kernel, None], [*ours, None], strict=False) if pair[0] != pair[1])
        found.wrong.append(
            f"{trace.name}: tree {tree:#x} at checkpoint {checkpoint.name!r}: "
            f"the kernel has {first[0]}, the tree {first[1]}"
        )


def joined(ranges: Iterable[Range]) -> list[Range]:
    """Return `ranges`, in order, with those that touch and have the same bits as one.

    Versions merge differently; what each byte has must not differ.

    >>> joined([(0, 9, 1), (10, 19, 1), (20, 29, 2), (31, 39, 2)])
    [(0, 19, 1), (20, 29, 2), (31, 39, 2)]
    """
    result: list[Range] = []
    for start, end, bits in ranges:
        if result and result[-1][1] + 1 == start and result[-1][2] == bits:
            result[-1] = (result[-1][0], end, bits)
        else:
            result.append((start, end, bits))
    return result
