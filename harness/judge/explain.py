# SPDX-License-Identifier: GPL-2.0-or-later
"""Shows a difference: the model's states and the kernel's events around the place where they part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.capture.records import Kind
from harness.judge.contents import ContentsFinding
from harness.judge.operations import NONE
from harness.judge.replay import Replay, Snapshot
from harness.verdicts import Difference

if TYPE_CHECKING:
    from harness.judge.extent_state import ReplayedRecord

__all__ = ["explain_contents", "explain_operation", "explain_state"]

_AROUND = 6
"""States or events shown on each side."""
_WHAT = {
    "orphan": "the kernel allocated a state outside of any operation",
    "kept": "the model leaves the preallocated state over, the kernel used it",
    "dropped": "the model keeps the state in its tree, the kernel freed it",
    "early": "the kernel freed the state before the model takes it out of its tree",
    "leaked": "the model took the state out of its tree, the kernel never freed it",
}


def explain_operation(record: ReplayedRecord, operation: int) -> Difference:
    """Describe a differing operation: model states around its range before it, events around it."""
    operations = record.operations
    event = int(operations.event[operation])
    states = _model_states(record, int(operations.tree[operation]), event)
    start, end = int(operations.start[operation]), int(operations.end[operation])
    return Difference(
        summary=f"{_operation_text(record, operation)}: {_operation_difference(record, operation)}",
        event=event,
        time_ns=int(record.events["time_ns"][event]),
        model=_around_range(record, states, start, end),
        kernel=_events_around(record, event),
    )


def explain_state(record: ReplayedRecord, findings: dict[str, NDArray[np.int64]]) -> Difference:
    """Describe the first differing state."""
    name, state = min(
        ((name, int(rows[0])) for name, rows in findings.items() if len(rows)),
        key=lambda found: record.states.event[found[1]],
    )
    states = record.states
    at = int(states.free_event[state] if states.free_event[state] != NONE else states.event[state])
    tree = int(record.operations.tree[states.operation[state]]) if states.operation[state] != NONE else 0
    model = [s for s in _model_states(record, tree, at) if s[3] == state] if tree else []
    return Difference(
        summary=f"state {int(states.ptr[state]):#x}: {_WHAT[name]}",
        event=at,
        time_ns=int(record.events["time_ns"][at]),
        model=tuple(_state_text(record, s) for s in model) or ("not in the model's tree",),
        kernel=_events_around(record, at),
    )


def explain_contents(record: ReplayedRecord, finding: ContentsFinding) -> Difference:
    """Describe the first state at which a tree's contents differ."""
    near = slice(max(0, finding.position - _AROUND), finding.position + _AROUND)
    kernel = [
        f"[{row['start']}, {row['end']}] {record.bits.describe(int(row['bits']))} at {int(row['ptr']):#x}"
        for row in finding.tree.states[near]
    ]
    tree = finding.tree
    name = f"tree {tree.tree:#x} (owner {tree.owner}, inode {tree.ino}, root {tree.root})"
    return Difference(
        summary=f"at {finding.checkpoint.name}: {name} differs after {finding.position} equal states: "
        f"{len(finding.model)} in the model, {len(tree.states)} in the kernel",
        event=finding.checkpoint.at_event,
        time_ns=finding.checkpoint.time_ns,
        model=tuple(_state_text(record, s) for s in finding.model[near]),
        kernel=tuple(kernel),
    )


def _operation_text(record: ReplayedRecord, operation: int) -> str:
    operations = record.operations
    event = int(operations.event[operation])
    bits = record.bits.describe(int(operations.bits[operation]))
    kind = Kind(int(operations.kind[operation])).name.lower()
    if kind == "convert":
        bits += f" from {record.bits.describe(int(operations.clear_bits[operation]))}"
    where = f"[{int(operations.start[operation])}, {int(operations.end[operation])}]"
    owner, ino = int(record.events["owner"][event]), int(record.events["ino"][event])
    return (
        f"{kind} {bits} on {where} of tree owner {owner} inode {ino} by task {int(operations.pid[operation])}"
    )


def _operation_difference(record: ReplayedRecord, operation: int) -> str:
    outcome, states = record.outcome, record.states
    own = np.flatnonzero(states.operation == operation)
    used = [s for s in own.tolist() if not outcome.unused[s]]
    kept = [s for s in own.tolist() if states.free_operation[s] != operation]
    erased = outcome.erased_by.count(operation)
    freed = int(np.count_nonzero((states.free_operation == operation) & (states.operation != operation)))
    failed = outcome.failed_start.get(operation)
    text = (
        f"the model uses {len(used)} of {len(own)} allocated states and takes {erased} out, "
        f"the kernel kept {len(kept)} and freed {freed} others"
    )
    if operation in outcome.short:
        text += "; the model needs more states than the kernel allocated"
    return text if failed is None else f"{text}; the model fails at {failed}"


def _model_states(record: ReplayedRecord, tree: int, event: int) -> Snapshot:
    replay = Replay(record.operations, record.states, record.new_tree)
    return replay.run(record.steps.only(tree), until=event).states()


def _around_range(record: ReplayedRecord, states: Snapshot, start: int, end: int) -> tuple[str, ...]:
    touched = [i for i, s in enumerate(states) if s[1] >= start and s[0] <= end]
    after = next((i for i, s in enumerate(states) if s[0] > end), len(states))
    first, last = (touched[0], touched[-1] + 1) if touched else (after, after)
    near = states[max(0, first - _AROUND) : min(last, first + 2 * _AROUND) + _AROUND]
    return tuple(_state_text(record, s) for s in near) or ("the tree is empty",)


def _state_text(record: ReplayedRecord, state: tuple[int, int, int, int]) -> str:
    start, end, bits, ident = state
    at = f" at {int(record.states.ptr[ident]):#x}" if ident >= 0 else " (not allocated by the kernel)"
    return f"[{start}, {end}] {record.bits.describe(bits)}{at}"


def _events_around(record: ReplayedRecord, event: int) -> tuple[str, ...]:
    """The events around `event` of its task and of the tasks that work on its tree at the time."""
    events = record.events
    near = np.arange(max(0, event - 200), min(len(events["kind"]), event + 200))
    at_work = events["pid"][near][events["ptr"][near] == events["ptr"][event]]
    part = near[np.isin(events["pid"][near], np.append(at_work, events["pid"][event]))]
    middle = int(np.searchsorted(part, event))
    return tuple(
        _event_text(record, e, e == event) for e in part[max(0, middle - _AROUND) : middle + _AROUND]
    )


def _event_text(record: ReplayedRecord, event: int, marked: bool) -> str:
    row = {name: int(column[event]) for name, column in record.events.items()}
    mark = ">" if marked else " "
    text = f"{mark} {event} task {row['pid']} {Kind(row['kind']).name.lower()}"
    if row["kind"] >= Kind.ALLOC:
        return f"{text} {row['ptr']:#x}"
    end = (row["start"] + row["len"] - 1) % 2**64
    return f"{text} {record.bits.describe(row['bits'])} [{row['start']}, {end}]"
