# SPDX-License-Identifier: GPL-2.0-or-later
"""The judgement of a record of extent-io-trees: operations, states, locks and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.bundle import Bundle, Table
from harness.capture.checkpoints import Checkpoint, load_checkpoints
from harness.judge.contents import ContentsFinding, compare_checkpoint, first_difference
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
from harness.judge.replay import Outcome, Replay, Snapshot, TreeFactory
from harness.judge.steps import Steps, activations
from harness.verdicts import Check, Verdict
from reference.extent_state import Behaviour, BitLayout, ExtentIoTree

__all__ = ["Judgement", "ReplayedRecord", "behaviour_of", "judge_record"]

# Rounds of finding releases; more than this mean real differences.
_ROUNDS = 4


@dataclass(frozen=True)
class ReplayedRecord:
    """A record and what the model did with it."""

    events: Table
    bits: BitLayout
    behaviour: Behaviour
    operations: Operations
    states: States
    checkpoints: list[Checkpoint]
    steps: Steps
    outcome: Outcome
    new_tree: TreeFactory
    reordering: Reordering
    """The search for another order of contending operations."""


@dataclass(frozen=True)
class Judgement:
    """Checks, remarks, and the replay they rest on."""

    checks: tuple[Check, ...]
    counts: dict[str, int]
    """Remarks, with how often each applies."""
    record: ReplayedRecord


def judge_record(
    bundle: Bundle, model: type[ExtentIoTree] = ExtentIoTree, *, search: bool = True
) -> Judgement:
    """Judge the events and checkpoints of `bundle` by `model`.

    `search` for another order of contending operations where the model differs: long when no order can help.
    Raises MissingBitError and UnknownBehaviourError for a kernel that the model does not know.
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
    if record.reordering.given_up and set(_differing_trees(record)) <= record.reordering.given_up:
        checks = [_undecided(check) for check in checks]
    return Judgement(tuple(checks), _counts(record), record)


def behaviour_of(capture: Mapping[str, Any]) -> Behaviour:
    """Return the behaviour of the kernel that a manifest's `capture` was recorded on.

    Bundles without `features` are those of 6.18 from before they were kept. Raises UnknownBehaviourError.
    """
    return Behaviour.of(capture["features"]) if "features" in capture else Behaviour.linux_6_18


def _replayed(bundle: Bundle, model: type[ExtentIoTree], search: bool) -> ReplayedRecord:
    events = bundle.table("events.npz")
    capture = bundle.manifest["capture"]
    bits = BitLayout.from_names(capture["bits"])
    behaviour = behaviour_of(capture)
    operations, states = group(events)
    checkpoints = load_checkpoints(bundle)

    def new_tree() -> ExtentIoTree:
        return model(bits, behaviour)

    positions = [c.at_event for c in checkpoints]
    probes, outcome = _with_releases(operations, states, positions, new_tree)
    same = partial(_same, checkpoints, states)
    reordering = Reordering(events, operations, states, new_tree, behaviour, same)
    steps = Steps.of(operations, states, probes, positions)
    record = ReplayedRecord(
        events, bits, behaviour, operations, states, checkpoints, steps, outcome, new_tree, reordering
    )
    if search and (trees := _differing_trees(record)):
        reordering.explain(Steps.of(operations, states, probes, positions, join=False), trees, outcome)
    return record


def _differing_trees(record: ReplayedRecord) -> list[int]:
    """Trees about which anything differs when operations are applied in the order of their allocations."""
    wrong = wrong_operations(record.operations, record.states, record.outcome)
    _, locks = _lock_findings(record)
    trees = set(record.operations.tree[np.union1d(wrong, locks)].tolist())
    for number, checkpoint in enumerate(record.checkpoints):
        _, found = compare_checkpoint(number, checkpoint, record.outcome, record.states)
        trees.update(finding.tree.tree for finding in found if checkpoint.valid)
    return sorted(trees)


def _same(checkpoints: list[Checkpoint], states: States, number: int, tree: int, contents: Snapshot) -> bool:
    """Whether the kernel's tree at a checkpoint, if it was read, holds `contents`."""
    checkpoint = checkpoints[number]
    found = [t for t in checkpoint.trees if t.tree == tree]
    return not (checkpoint.valid and found) or first_difference(found[0], contents, states) is None


def _with_releases(
    operations: Operations, states: States, checkpoints: list[int], new_tree: TreeFactory
) -> tuple[NDArray[np.int64], Outcome]:
    """Replay until every release is known: those after an operation on the same tree show as differences.

    Returns the states freed where releases may have begun, and the last replay.
    """
    probes = elsewhere_freed(operations, states)
    for _ in range(_ROUNDS):
        steps = Steps.of(operations, states, probes, checkpoints)
        outcome = _replay(operations, states, steps, new_tree)
        found = state_findings(operations, states, outcome)
        more = np.union1d(probes, np.concatenate((found.dropped, found.early)))
        if len(more) == len(probes):
            break
        probes = more
    return probes, outcome


def _replay(operations: Operations, states: States, steps: Steps, new_tree: TreeFactory) -> Outcome:
    replay = Replay(operations, states, new_tree)
    replay.run(steps)
    return replay.outcome


def _undecided(check: Check) -> Check:
    """Withdraw a FAIL that another order of contending operations may still explain."""
    if check.verdict is not Verdict.FAIL:
        return check
    detail = "; ".join(filter(None, (check.detail, "the search for an order that explains it was cut off")))
    return replace(check, verdict=Verdict.UNDECIDED, detail=detail)


def _operations_check(record: ReplayedRecord) -> Check:
    """Each operation put to use, merged and cleared exactly the states that the model says."""
    wrong = wrong_operations(record.operations, record.states, record.outcome)
    first = explain_operation(record, int(wrong[0])) if len(wrong) else None
    detail = f"judged as {record.behaviour.name}"
    return Check.of("operations", len(record.operations), len(wrong), detail=detail, first=first)


def _states_check(record: ReplayedRecord, findings: StateFindings) -> Check:
    """Every extent_state that the kernel allocated lived exactly as long as the model's."""
    kinds = findings.all()
    wrong = sum(len(rows) for rows in kinds.values())
    detail = ", ".join(f"{len(rows)} {name}" for name, rows in kinds.items() if len(rows))
    first = explain_state(record, kinds) if wrong else None
    return Check.of("states", len(record.states), wrong, detail=detail, first=first)


def _locks_check(record: ReplayedRecord) -> Check:
    """Every exclusive set succeeded or failed, at the same offset, as the model says."""
    compared, wrong = _lock_findings(record)
    met = len(record.outcome.failed_start)
    first = explain_operation(record, int(wrong[0])) if len(wrong) else None
    return Check.of("locks", compared, len(wrong), detail=f"{met} met a held lock", first=first)


def _lock_findings(record: ReplayedRecord) -> tuple[int, NDArray[np.int64]]:
    return lock_findings(record.operations, record.states, record.outcome, record.bits, record.behaviour)


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
    valid = len(record.checkpoints) - len(invalid)
    detail = f"at {valid} quiet points, the largest with {largest:,} live states"
    if findings:
        first = explain_contents(record, findings[0])
        return Check("checkpoints", Verdict.FAIL, compared, len(findings), detail, first)
    if invalid:
        detail = "; ".join(f"checkpoint {c.name} is no evidence: {c.reason}" for c in invalid)
        return Check("checkpoints", Verdict.UNDECIDED, compared, 0, detail)
    return Check.of("checkpoints", compared, 0, detail=detail)


def _counts(record: ReplayedRecord) -> dict[str, int]:
    """What the reader should know besides the checks; only what happened."""
    outcome, operations, states = record.outcome, record.operations, record.states
    with_states = np.unique(states.operation[states.operation != NONE])
    counts = {
        "frees deferred by cached references": deferred_frees(states, outcome),
        "trees released as a whole": outcome.releases,
        "operations overtaken by others before their allocation": int(
            np.count_nonzero(activations(operations, states) - operations.event > 1)
        ),
        "operations without a preallocation, applied at their entry": len(operations) - len(with_states),
        "trees that agree in another order of contending operations": record.reordering.resolved,
        "trees whose search for another order was cut off": len(record.reordering.given_up),
    }
    return {name: number for name, number in counts.items() if number}
