# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds what the model did against what the record says the kernel did; every check is a set of row numbers.

Each function returns the operations (or events) that differ, so that the first of them can be shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.capture.records import Kind
from harness.judge.operations import NONE, Operations, States
from harness.judge.replay import Outcome
from harness.judge.steps import activations
from reference.extent_state import Behaviour, BitLayout

__all__ = [
    "StateFindings",
    "deferred_frees",
    "elsewhere_freed",
    "given_back",
    "lock_findings",
    "repeated_sets",
    "state_findings",
    "wrong_operations",
]

Index = NDArray[np.int64]


@dataclass(frozen=True)
class StateFindings:
    """Differences about extent_states: for each kind the states concerned."""

    orphan: Index
    """Allocated by a task that had entered no operation."""
    kept: Index
    """The model left the preallocation over, the kernel put it to use."""
    dropped: Index
    """The model has it in its tree, the kernel freed it."""
    early: Index
    """The kernel freed it before the model took it out of the tree."""
    leaked: Index
    """The model took it out of the tree, the kernel never freed it."""

    def all(self) -> dict[str, Index]:
        """Name -> states, for each kind of difference."""
        return {name: getattr(self, name) for name in ("orphan", "kept", "dropped", "early", "leaked")}


def state_findings(operations: Operations, states: States, outcome: Outcome) -> StateFindings:
    """Compare, state by state, the model's use with the kernel's frees."""
    unused = np.frombuffer(outcome.unused, np.uint8).astype(bool)
    erased_by = np.array(outcome.erased_by, np.int64)
    erased = erased_by >= 0
    in_tree = ~unused & (erased_by == NONE) & (states.operation != NONE)
    erased_event = np.where(erased, operations.event[np.where(erased, erased_by, 0)], 0)
    freed = states.free_event != NONE
    return StateFindings(
        orphan=np.flatnonzero(states.operation == NONE),
        kept=np.flatnonzero(unused & (states.free_operation != states.operation)),
        dropped=np.flatnonzero(in_tree & freed),
        early=np.flatnonzero(erased & freed & (states.free_event < erased_event)),
        leaked=np.flatnonzero(erased & ~freed),
    )


def wrong_operations(operations: Operations, states: States, outcome: Outcome) -> Index:
    """Operations that differ: that put to use, took out or left over another state than the kernel did."""
    found = state_findings(operations, states, outcome)
    concerned = np.concatenate((found.kept, found.dropped, found.early, found.leaked))
    erased_by = np.array(outcome.erased_by, np.int64)[concerned]
    # A state's difference belongs to the operation that erased it, else to the one that made it.
    of_states = np.where(erased_by >= 0, erased_by, states.operation[concerned])
    return np.union1d(of_states, np.array(sorted(outcome.short), np.int64))


def elsewhere_freed(operations: Operations, states: States) -> Index:
    """States freed by a task whose latest operation was on another tree, or that had none."""
    known = states.operation != NONE
    own = operations.tree[np.where(known, states.operation, 0)]
    freer = operations.tree[np.where(states.free_operation != NONE, states.free_operation, 0)]
    freed = known & (states.free_event != NONE)
    return np.flatnonzero(freed & ((states.free_operation == NONE) | (own != freer)))


def deferred_frees(states: States, outcome: Outcome) -> int:
    """How many states outlived their place in the tree, kept by somebody's cached reference."""
    erased_by = np.array(outcome.erased_by, np.int64)
    return int(np.count_nonzero((erased_by >= 0) & (states.free_operation != erased_by)))


def lock_findings(
    operations: Operations, states: States, outcome: Outcome, bits: BitLayout, behaviour: Behaviour
) -> tuple[int, Index]:
    """Compare success and failure of exclusive sets with what their tasks did next on the same tree.

    The return value is not traced, but lock_extent() shows it: after -EEXIST at `failed_start` it clears what
    it had got, [start, failed_start - 1], waits and repeats the same set, or, where the behaviour keeps what
    it locked, repeats the rest of it; try_lock_extent() clears and gives up. So a set that the model lets
    fail behind its start must be followed by exactly that clear or that rest, and one that it lets succeed
    must not be followed by a repetition when somebody held the lock, be it the model's own lock that the
    repetition then meets, or one taken before and not given back. A task can meet its own lock, though: that
    for a read is given back by the read's end (end_bio_extent_readpage), a moment after the page is unlocked
    and the task goes on to page_mkwrite. Then it waits and repeats the set until the model lets it succeed.
    Returns how many sets were compared, and those that differ.
    """
    is_lock = _exclusive(operations, bits, behaviour)
    failed = np.zeros(len(operations), bool)
    failed_start = np.zeros(len(operations), np.uint64)
    failed[list(outcome.failed_start)] = True
    failed_start[list(outcome.failed_start)] = list(outcome.failed_start.values())

    following = _next_of_task(operations)
    after = np.where(following != NONE, following[following], NONE)
    cleared = _clears_prefix(operations, following)
    repeated = _repeats(operations, following, behaviour)
    repeated_later = cleared & _repeats(operations, after, behaviour)
    repetition = np.where(repeated, following, np.where(repeated_later, after, NONE))
    retried = (repetition != NONE) & _refused_for_good(failed, repetition)[repetition]
    applied = activations(operations, states)
    for row in np.flatnonzero(is_lock & ~failed & ~retried & (repeated | repeated_later)).tolist():
        retried[row] = _was_held(operations, applied, row, failed, bits)
    got_exactly = (cleared & (operations.end[following] + np.uint64(1) == failed_start)) | (
        repeated & (operations.start[following] == failed_start)
    )
    behind_start = failed & (failed_start > operations.start)
    wrong = is_lock & ((~failed & retried) | (behind_start & ~got_exactly))
    return int(is_lock.sum()), np.flatnonzero(wrong)


def repeated_sets(operations: Operations, behaviour: Behaviour) -> dict[int, int]:
    """Sets that repeat what their task had asked for last on that tree: operation -> the one repeated."""
    following = _next_of_task(operations)
    again = np.flatnonzero((operations.kind == Kind.SET) & _repeats(operations, following, behaviour))
    return dict(zip(following[again].tolist(), again.tolist(), strict=True))


def given_back(operations: Operations, behaviour: Behaviour) -> dict[int, int]:
    """Operations whose task shows next how far it got: operation -> first byte that it was refused.

    It clears the beginning of the range or, where the behaviour keeps that, repeats the rest.
    """
    following = _next_of_task(operations)
    rest = _repeats(operations, following, behaviour) & (operations.start[following] > operations.start)
    refused = operations.start[following].copy()
    cleared = _clears_prefix(operations, following)
    refused[cleared] = operations.end[following[cleared]] + np.uint64(1)
    seen = np.flatnonzero(cleared | ((operations.kind == Kind.SET) & rest))
    return dict(zip(seen.tolist(), refused[seen].tolist(), strict=True))


def _exclusive(operations: Operations, bits: BitLayout, behaviour: Behaviour) -> NDArray[np.bool_]:
    """Whether an operation asks for bits that nobody else may have."""
    asked = operations.bits & bits.lock_bits
    exclusive: NDArray[np.bool_] = (operations.kind == Kind.SET) & (asked != 0)
    return exclusive & (asked == operations.bits) if behaviour.locks_alone else exclusive


def _repeats(operations: Operations, other: Index, behaviour: Behaviour) -> NDArray[np.bool_]:
    """Whether `other` asks for the same once more or, where the behaviour keeps the first part, the rest."""
    same: NDArray[np.bool_] = other != NONE
    for column in (operations.kind, operations.end, operations.bits):
        same = same & (column == column[other])
    start, again = operations.start, operations.start[other]
    return same & ((again >= start) if behaviour.keeps_what_it_locked else (again == start))


def _refused_for_good(failed: NDArray[np.bool_], repetition: Index) -> NDArray[np.bool_]:
    """Whether a set and its repetitions all fail, up to the last, though lock_extent() ends with success."""
    for_good = failed.copy()
    # A repetition comes later than what it repeats.
    for row in np.flatnonzero(failed & (repetition != NONE))[::-1].tolist():
        for_good[row] = for_good[repetition[row]]
    return for_good


def _was_held(
    operations: Operations, applied: Index, row: int, failed: NDArray[np.bool_], bits: BitLayout
) -> bool:
    """Whether the last that was done to exclusive bits in the range of `row` before it was to set them.

    By when operations were `applied`: one that was entered before may have had to wait for a CPU.
    """
    exclusive = int(operations.bits[row]) & bits.lock_bits
    unlocks = (operations.kind == Kind.CLEAR) & (operations.bits & (exclusive | bits.clear_all_bits) != 0)
    locks = (operations.kind == Kind.SET) & (operations.bits & exclusive != 0) & ~failed
    concerned = (
        (unlocks | locks)
        & (applied < applied[row])
        & (operations.tree == operations.tree[row])
        & (operations.start <= operations.end[row])
        & (operations.end >= operations.start[row])
    )
    found = np.flatnonzero(concerned)
    return len(found) > 0 and bool(locks[found[np.argmax(applied[found])]])


def _clears_prefix(operations: Operations, other: Index) -> NDArray[np.bool_]:
    """Whether `other` unlocks the beginning, and only the beginning, of the operation's range."""
    cleared: NDArray[np.bool_] = (
        (other != NONE)
        & (operations.kind[other] == Kind.CLEAR)
        & (operations.start[other] == operations.start)
        & (operations.bits[other] == operations.bits)
        & (operations.end[other] < operations.end)
    )
    return cleared


def _next_of_task(operations: Operations) -> Index:
    """For each operation the next one of the same task on the same tree, or NONE."""
    order = np.lexsort((operations.event, operations.tree, operations.pid))
    same = (operations.tree[order[1:]] == operations.tree[order[:-1]]) & (
        operations.pid[order[1:]] == operations.pid[order[:-1]]
    )
    following = np.full(len(operations), NONE, np.int64)
    following[order[:-1][same]] = order[1:][same]
    return following
