# SPDX-License-Identifier: GPL-2.0-or-later
"""The judgement of a record of extent-io-trees: operations, states, locks and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.bundle import Bundle, Table
from harness.capture.checkpoints import Checkpoint, load_checkpoints
from harness.judge.contents import ContentsFinding, compare_checkpoint
from harness.judge.explain import explain_contents, explain_operation, explain_state
from harness.judge.findings import (
    StateFindings,
    deferred_frees,
    elsewhere_freed,
    lock_findings,
    state_findings,
    wrong_operations,
)
from harness.judge.operations import NONE, Operations, States, group
from harness.judge.reorder import Reordering
from harness.judge.replay import Outcome, Replay, TreeFactory
from harness.judge.steps import Steps, activations
from harness.verdicts import Check, Verdict
from reference.extent_state import BitLayout, ExtentIoTree

__all__ = ["Judgement", "ReplayedRecord", "judge_record"]

# Rounds of finding releases; more than this mean real differences.
_ROUNDS = 4


@dataclass(frozen=True)
class ReplayedRecord:
    """A record and what the model did with it."""

    events: Table
    bits: BitLayout
    operations: Operations
    states: States
    checkpoints: list[Checkpoint]
    steps: Steps
    outcome: Outcome
    new_tree: TreeFactory
    moved: int
    """How often contending operations were applied in another order than they allocated."""


@dataclass(frozen=True)
class Judgement:
    """Checks, remarks, and the replay they rest on."""

    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    record: ReplayedRecord


def judge_record(
    bundle: Bundle, model: type[ExtentIoTree] = ExtentIoTree, *, search: bool = True
) -> Judgement:
    """Judge the events and checkpoints of `bundle` by `model`.

    `search` for another order of contending operations where the model differs: long when no order can help.
    """
    record = _replayed(bundle, model, search)
    findings = state_findings(record.operations, record.states, record.outcome)
    checks = [
        _operations_check(record),
        _states_check(record, findings),
        _locks_check(record),
    ]
    if record.checkpoints:
        checks.append(_checkpoints_check(record))
    return Judgement(tuple(checks), tuple(_notes(record)), record)


def _replayed(bundle: Bundle, model: type[ExtentIoTree], search: bool) -> ReplayedRecord:
    events = bundle.table("events.npz")
    bits = BitLayout.from_names(bundle.manifest["capture"]["bits"])
    operations, states = group(events)
    checkpoints = load_checkpoints(bundle)

    def new_tree() -> ExtentIoTree:
        return model(bits)

    steps, outcome = _with_releases(operations, states, [c.at_event for c in checkpoints], new_tree)
    reordering = Reordering(events, operations, states, new_tree)
    wrong = wrong_operations(operations, states, outcome)
    if search and len(wrong):
        steps = reordering.explain(steps, wrong)
        outcome = _replay(operations, states, steps, new_tree)
    return ReplayedRecord(
        events, bits, operations, states, checkpoints, steps, outcome, new_tree, reordering.moved
    )


def _with_releases(
    operations: Operations, states: States, checkpoints: list[int], new_tree: TreeFactory
) -> tuple[Steps, Outcome]:
    """Replay until every release is known: those after an operation on the same tree show as differences."""
    probes = elsewhere_freed(operations, states)
    for _ in range(_ROUNDS):
        steps = Steps.of(operations, states, probes, checkpoints)
        outcome = _replay(operations, states, steps, new_tree)
        found = state_findings(operations, states, outcome)
        more = np.union1d(probes, np.concatenate((found.dropped, found.early)))
        if len(more) == len(probes):
            break
        probes = more
    return steps, outcome


def _replay(operations: Operations, states: States, steps: Steps, new_tree: TreeFactory) -> Outcome:
    replay = Replay(operations, states, new_tree)
    replay.run(steps)
    return replay.outcome


def _operations_check(record: ReplayedRecord) -> Check:
    """Each operation put to use, merged and cleared exactly the states that the model says."""
    wrong = wrong_operations(record.operations, record.states, record.outcome)
    first = explain_operation(record, int(wrong[0])) if len(wrong) else None
    return Check.of("operations", len(record.operations), len(wrong), first=first)


def _states_check(record: ReplayedRecord, findings: StateFindings) -> Check:
    """Every extent_state that the kernel allocated lived exactly as long as the model's."""
    kinds = findings.all()
    wrong = sum(len(rows) for rows in kinds.values())
    detail = ", ".join(f"{len(rows)} {name}" for name, rows in kinds.items() if len(rows))
    first = explain_state(record, kinds) if wrong else None
    return Check.of("states", len(record.states), wrong, detail=detail, first=first)


def _locks_check(record: ReplayedRecord) -> Check:
    """Every exclusive set succeeded or failed, at the same offset, as the model says."""
    compared, wrong = lock_findings(record.operations, record.outcome, record.bits)
    met = len(record.outcome.failed_start)
    first = explain_operation(record, int(wrong[0])) if len(wrong) else None
    return Check.of("locks", compared, len(wrong), detail=f"{met} met a held lock", first=first)


def _checkpoints_check(record: ReplayedRecord) -> Check:
    """At every quiet point all real trees held what the model's hold: ranges, bits and identities."""
    compared, findings = 0, list[ContentsFinding]()
    for number, checkpoint in enumerate(record.checkpoints):
        if checkpoint.valid:
            more, found = compare_checkpoint(number, checkpoint, record.outcome, record.states)
            compared += more
            findings += found
    invalid = [c for c in record.checkpoints if not c.valid]
    largest = max(c.live_states for c in record.checkpoints)
    detail = f"{len(record.checkpoints) - len(invalid)} checkpoints, the largest with {largest:,} live states"
    if findings:
        first = explain_contents(record, findings[0])
        return Check("checkpoints", Verdict.FAIL, compared, len(findings), detail, first)
    if invalid:
        detail = "; ".join(f"checkpoint {c.name} is no evidence: {c.reason}" for c in invalid)
        return Check("checkpoints", Verdict.UNDECIDED, compared, 0, detail)
    return Check.of("checkpoints", compared, 0, detail=detail)


def _notes(record: ReplayedRecord) -> list[str]:
    outcome, states = record.outcome, record.states
    late = deferred_frees(states, outcome)
    without = len(record.operations) - len(np.unique(states.operation[states.operation != NONE]))
    waited = int(np.count_nonzero(activations(record.operations, states) - record.operations.event > 1))
    notes = [
        f"{late:,} frees were deferred by cached references; all of them came",
        f"{outcome.releases:,} trees were released as a whole",
        f"{waited:,} operations had events of other tasks between their entry and their allocation",
    ]
    if record.moved:
        notes.append(f"{record.moved:,} contending operations were faster than their allocations stand")
    if without:
        notes.append(f"{without:,} operations ran without a preallocation and were applied at their entry")
    return notes
