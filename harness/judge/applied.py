# SPDX-License-Identifier: GPL-2.0-or-later
"""The operations of a judged record in the order in which they were applied, for other models to repeat.

The judge knows when an operation had the tree lock, where another came between two holds of it, and when a
tree was released. What is left of that here names no state: ranges, bits, and which exclusive sets failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from harness.judge.extent_state import ReplayedRecord
from harness.judge.replay import Replay, Row, TreeReplay
from harness.judge.steps import Step
from reference.extent_state import DONE, FAILED, ExtentIoTree

__all__ = ["Call", "CallKind", "applied", "trees"]


class CallKind(IntEnum):
    """What a call does; the operations have the numbers of `harness.capture.records.Kind`."""

    SET = 1
    CLEAR = 2
    CONVERT = 3
    RELEASE = 4
    """All states of the tree go at once."""
    CHECKPOINT = 5
    """Nothing changes: the kernel's tree was read here, unless the checkpoint is no evidence."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call on one tree. Where others came between its lock holds, an operation is several calls."""

    kind: CallKind
    operation: int
    """Its number in the record; of a checkpoint, the checkpoint's."""
    start: int = 0
    end: int = 0
    """Inclusive, bytes."""
    bits: int = 0
    """As the kernel has them, those that are requests and never stored included."""
    clear_bits: int = 0
    """Of a conversion."""
    failed_start: int | None = None
    """Where an exclusive set met a bit that was set."""


def trees(record: ReplayedRecord) -> list[int]:
    """Return the trees that the record has operations on."""
    return [int(tree) for tree in np.unique(record.operations.tree)]


def applied(record: ReplayedRecord, tree: int) -> Iterator[Call]:
    """Yield what was done to `tree`, in order."""
    pending: Call | None = None
    for call in _holds(record, tree):
        if pending is not None and _goes_on(pending, call):
            pending = replace(pending, end=call.end, failed_start=call.failed_start)
            continue
        if pending is not None:
            yield pending
        pending = call
    if pending is not None:
        yield pending


def _goes_on(before: Call, call: Call) -> bool:
    """Tell whether `call` is the next lock hold of the same operation, which went on where it was."""
    return (
        call.kind <= CallKind.CONVERT
        and (before.kind, before.operation) == (call.kind, call.operation)
        and before.end + 1 == call.start
    )


def _holds(record: ReplayedRecord, address: int) -> Iterator[Call]:
    """Yield each lock hold, or all holds of an operation that nothing came between, as one call."""
    steps = record.steps.only(address)
    replayer = Replay(record.operations, record.states, record.new_tree)
    found = record.reordering.orders.get(address)
    rows = found.rows if found else replayer.rows(steps, 0, len(steps.tree))
    tree = record.new_tree()
    tree.need_resched = found is not None and found.need_resched
    replay = TreeReplay(tree, steps.several)
    for number, row in enumerate(rows):
        kind, subject = row[:2]
        if kind == Step.CHECKPOINT:
            yield Call(CallKind.CHECKPOINT, subject)
        elif kind == Step.PROBE:
            if number in found.released if found else replayer.released_by(tree, subject):
                tree.release()
                yield Call(CallKind.RELEASE, subject)
        else:
            yield from _operation(replay, row, once=found is not None)
            _forget_states(tree)


def _operation(replay: TreeReplay, row: Row, *, once: bool) -> Iterator[Call]:
    kind, subject, _, _, start, end, bits, clear_bits = row
    position, _ = replay.paused.get(subject, (start, []))
    if position < 0:
        return  # It ended in an earlier step, with a state to spare.
    result = replay.apply(row, once=once)
    if result == FAILED:
        met = replay.tree.failed_start
        yield Call(CallKind(kind), subject, position, end, bits, clear_bits, met)
    elif result == DONE or result < position:
        # Behind a state that ends at U64_MAX the kernel starts over from 0, with nothing left to do.
        yield Call(CallKind(kind), subject, position, end, bits, clear_bits)
    elif result > position:
        yield Call(CallKind(kind), subject, position, result - 1, bits, clear_bits)


def _forget_states(tree: ExtentIoTree) -> None:
    """Empty the lists in which the tree accounts for states: only who judges reads them."""
    tree.supply.clear()
    tree.erased.clear()
    tree.unsupplied = 0
