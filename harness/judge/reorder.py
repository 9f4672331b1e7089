# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds an order in which contending operations can have taken the tree lock.

A record shows when an operation allocated, just before it asks for the lock, and the next event of its task,
by when it has had it. Between the two another task may have been faster. Operations are applied in the order
of their allocations; where that contradicts the record, this search looks for another order that the record
allows and that contradicts nothing: a linearization, in the words of Herlihy and Wing (1990), found by the
backtracking of Wing and Gong (1993), one hold of the lock at a time. Only a tree for which there is none
differs from its model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain, takewhile

import numpy as np
from numpy.typing import NDArray

from harness.bundle import Table
from harness.capture.records import Kind
from harness.judge.findings import given_back, repeated_sets
from harness.judge.operations import NONE, Operations, States
from harness.judge.replay import RELEASED, Outcome, Replay, Row, Snapshot, TreeFactory, TreeReplay
from harness.judge.steps import Step, Steps
from reference.extent_state import DONE, FAILED, U64_MAX, Behaviour, ExtentIoTree

__all__ = ["FoundOrder", "Reordering"]

_MAX_TRIES = 50_000
"""Lock holds that a tree's search may try beyond those of its record."""
_KEPT_CHOICES = 64
"""How far back, in choices, a contradiction can reach."""


@dataclass
class _Position:
    """A point of the search: everything applied so far, and what comes next."""

    replay: TreeReplay
    front: int = 0
    """Steps from here on have not been looked at."""
    window: list[int] = field(default_factory=list)
    """Steps before `front` that are not finished, in the order of their allocations."""
    log: int = 0
    """Length of the search's log."""
    frees: int = 0
    """How many of the tree's frees have been looked at."""
    asleep: frozenset[int] = frozenset()
    """Steps that were tried before what was applied since, which makes no difference to them: to apply them
    now would lead to where that led (the sleep sets of Godefroid, 1996)."""

    def copy(self) -> _Position:
        return _Position(
            self.replay.copy(), self.front, self.window.copy(), self.log, self.frees, self.asleep
        )


@dataclass
class _Choice:
    """A position from which there are several ways to go on."""

    position: _Position
    tried: set[int]
    left: list[int]

    def next(self) -> tuple[_Position, int]:
        """Return the position and the step to take from there now."""
        step = self.left.pop(0)
        at = self.position.copy()
        at.asleep |= self.tried
        self.tried.add(step)
        return at, step


@dataclass(frozen=True)
class _Effect:
    """What one lock hold did to the states, or a look at the tree between two."""

    step: int
    erased: tuple[int, ...] = ()
    left: tuple[int, ...] = ()
    failed_start: int | None = None
    done: int = NONE
    """The operation that ended with success."""
    snapshot: Snapshot | None = None


@dataclass(frozen=True)
class FoundOrder:
    """An order of one tree's lock holds that contradicts nothing in the record."""

    rows: list[Row]
    """One for each lock hold or look at the tree; a row may come again where its operation goes on."""
    released: frozenset[int]
    """Positions in `rows` at which the tree was released as a whole."""
    need_resched: bool
    """Whether sections end wherever the kernel asks need_resched()."""


@dataclass
class Reordering:
    """Searches the orders that a record leaves open, tree by tree."""

    events: Table
    operations: Operations
    states: States
    new_tree: TreeFactory
    behaviour: Behaviour
    agrees: Callable[[int, int, Snapshot], bool]
    """Whether (checkpoint, tree) holds these contents in the kernel."""
    resolved: int = 0
    """Trees for which another order was found."""
    given_up: set[int] = field(default_factory=set)
    """Trees whose search was cut off."""
    orders: dict[int, FoundOrder] = field(default_factory=dict)
    """The order that was found for a tree."""

    def __post_init__(self) -> None:
        self.locked_by: NDArray[np.int64] = _next_event_of_task(self.events["pid"])
        self.given_back = given_back(self.operations, self.behaviour)
        self.repeated_sets = repeated_sets(self.operations, self.behaviour)
        self.sets_repeated = frozenset(self.repeated_sets.values())

    def explain(self, steps: Steps, trees: Iterable[int], outcome: Outcome) -> None:
        """Search the orders of `trees`; where one is found, put its effects into `outcome`."""
        for tree in trees:
            # The kernel may drop the lock in the middle of an operation, but seldom does: that comes second.
            for need_resched in (False, True):
                search = _Search(self, steps.only(tree), tree, need_resched)
                if search.run():
                    self.resolved += 1
                    self.given_up.discard(tree)
                    search.write(outcome)
                    self.orders[tree] = search.order()
                    break


class _Search:
    """The search for one tree."""

    def __init__(self, owner: Reordering, steps: Steps, tree: int, need_resched: bool) -> None:
        self._owner = owner
        self._tree = tree
        self._need_resched = need_resched
        self._several = steps.several
        self._replayer = Replay(owner.operations, owner.states, owner.new_tree)
        self._rows: list[Row] = list(self._replayer.rows(steps, 0, len(steps.tree)))
        self._event: list[int] = steps.event.tolist()
        self._until: list[int] = [
            int(owner.locked_by[event]) if row[0] < Step.PROBE else event
            for event, row in zip(self._event, self._rows, strict=True)
        ]
        self._free_event: list[int] = owner.states.free_event.tolist()
        self._free_operation: list[int] = owner.states.free_operation.tolist()
        own = np.flatnonzero(
            (owner.states.operation != NONE)
            & (owner.operations.tree[owner.states.operation] == tree)
            & (owner.states.free_event != NONE)
        )
        own = own[np.argsort(owner.states.free_event[own])]
        self._frees = list(zip(owner.states.free_event[own].tolist(), own.tolist(), strict=True))
        self._log: list[_Effect] = []
        self._out: set[int] = set()
        """States that, by the log, left the tree or never came into it."""
        self._done: set[int] = set()
        """Operations that, by the log, ended with success."""
        self._is_open = False
        """Whether the record left the order of two steps open so far."""

    def run(self) -> bool:
        """Search; True when everything was applied without contradiction."""
        tree = self._owner.new_tree()
        tree.need_resched = self._need_resched
        at = _Position(TreeReplay(tree, self._several))
        choices: deque[_Choice] = deque(maxlen=_KEPT_CHOICES)
        forgotten = False
        for _ in range(2 * len(self._rows) + _MAX_TRIES):
            candidates = self._candidates(at)
            if not candidates:
                return True
            awake = [step for step in candidates if step not in at.asleep]
            self._is_open |= len(candidates) > 1
            if len(awake) > 1 and self._is_contended(at, awake[0]):
                forgotten |= len(choices) == _KEPT_CHOICES
                choices.append(_Choice(at.copy(), {awake[0]}, awake[1:]))
            step = awake[0] if awake else None
            while step is None or not self._apply(at, step):
                while choices and not choices[-1].left:
                    choices.pop()
                if not choices:
                    if forgotten:
                        self._owner.given_up.add(self._tree)
                    return False
                at, step = choices[-1].next()
                self._forget(at.log)
        self._owner.given_up.add(self._tree)
        return False

    def write(self, outcome: Outcome) -> None:
        """Replace what `outcome` says of this tree by the effects of the order found."""
        states = self._owner.states
        own = (states.operation != NONE) & (self._owner.operations.tree[states.operation] == self._tree)
        for ident in np.flatnonzero(own).tolist():
            outcome.erased_by[ident] = NONE
            outcome.unused[ident] = 0
        for row in self._rows:
            if row[0] < Step.PROBE:
                outcome.failed_start.pop(row[1], None)
                outcome.short.discard(row[1])
        for effect in self._log:
            self._write_effect(outcome, effect)

    def order(self) -> FoundOrder:
        """Return the order found."""
        rows = [self._rows[effect.step] for effect in self._log]
        released = frozenset(
            n for n, effect in enumerate(self._log) if rows[n][0] == Step.PROBE and effect.erased
        )
        return FoundOrder(rows, released, self._need_resched)

    def _write_effect(self, outcome: Outcome, effect: _Effect) -> None:
        kind, subject = self._rows[effect.step][:2]
        if effect.snapshot is not None:
            outcome.snapshots[subject, self._tree] = effect.snapshot
            return
        by = subject if kind < Step.PROBE else RELEASED
        for ident in effect.erased:
            outcome.erased_by[ident] = by
        for ident in effect.left:
            outcome.unused[ident] = 1
        if effect.failed_start is not None:
            outcome.failed_start[subject] = effect.failed_start

    def _candidates(self, at: _Position) -> list[int]:
        """Steps that may come next: those that began before another must have had the lock."""
        limit = min((self._bound(at, step) for step in at.window), default=None)
        while at.front < len(self._rows) and (limit is None or self._event[at.front] < limit):
            at.window.append(at.front)
            limit = min(limit or self._until[at.front], self._until[at.front])
            at.front += 1
        first_parts: dict[int, int] = {}
        for step in at.window:
            kind, subject = self._rows[step][:2]
            first_parts.setdefault(subject if kind < Step.PROBE else -step - 1, step)
        # An operation that has begun goes on first, as it does unless somebody waits for the lock.
        begun = [s for s in first_parts.values() if self._rows[s][1] in at.replay.paused]
        return begun + [s for s in first_parts.values() if s not in begun]

    def _bound(self, at: _Position, step: int) -> int:
        """The event by which a step has had the lock; once it has begun, by which it has ended."""
        kind, subject = self._rows[step][:2]
        if kind < Step.PROBE and subject in at.replay.paused:
            return int(self._owner.operations.until[subject])
        return self._until[step]

    def _is_contended(self, at: _Position, step: int) -> bool:
        """Whether another step that may have come first can make a difference to this one."""
        later = takewhile(lambda s: self._event[s] < self._until[step], range(at.front, len(self._rows)))
        return any(other != step and self._meet(at, step, other) for other in chain(at.window, later))

    def _meet(self, at: _Position, step: int, other: int) -> bool:
        """Whether it can make a difference which of two steps comes first."""
        first, last = self._reach(at.replay.tree, step)
        other_first, other_last = self._reach(at.replay.tree, other)
        return first <= other_last + 1 and other_first <= last + 1

    def _reach(self, tree: ExtentIoTree, step: int) -> tuple[int, int]:
        """The range of a step and of the states next to it, with which it can merge."""
        kind, _, _, _, start, end, _, _ = self._rows[step]
        if kind >= Step.PROBE:
            return 0, U64_MAX
        before, after = tree.search(max(start - 1, 0)), tree.search(min(end + 1, U64_MAX))
        if after is tree.anchor:
            # Behind all others a state is inserted in another way than into a hole.
            return min(start, before.start), U64_MAX
        return min(start, before.start), max(end, after.end if after.start <= end + 1 else end)

    def _forget(self, log: int) -> None:
        for effect in self._log[log:]:
            self._out.difference_update(effect.erased, effect.left)
            self._done.discard(effect.done)
        del self._log[log:]

    def _apply(self, at: _Position, step: int) -> bool:
        """Apply one lock hold of a step; False when what the model does then contradicts the record."""
        row = self._rows[step]
        asleep = frozenset(other for other in at.asleep if not self._meet(at, step, other))
        # What was freed before this step began had left the tree before this step had the lock.
        frees = at.frees
        while frees < len(self._frees) and self._frees[frees][0] < self._event[step]:
            if self._frees[frees][1] not in self._out:
                return False
            frees += 1
        if row[0] >= Step.PROBE:
            effect = self._look(at.replay, step)
            finished = True
        else:
            result = at.replay.apply(row, once=True)
            tree = at.replay.tree
            self._take_survivor_from_record(tree, row)
            failed = tree.failed_start if result == FAILED else None
            done = row[1] if result == DONE else NONE
            effect = _Effect(step, tuple(tree.erased), tuple(tree.supply), failed, done)
            finished = result < 0 or at.replay.waits(row)
            if tree.unsupplied or not self._agrees(effect, row, finished=result < 0):
                return False
            tree.erased.clear()
            tree.supply.clear()
        if effect is None:
            return False
        self._log.append(effect)
        self._out.update(effect.erased, effect.left)
        self._done.add(effect.done)
        at.log, at.frees, at.asleep = len(self._log), frees, asleep
        if finished:
            at.window.remove(step)
        return True

    def _take_survivor_from_record(self, tree: ExtentIoTree, row: Row) -> None:
        """Let the record say which of two equal neighbours took in the hole between them.

        That depends on the shape of the kernel's tree (insert_state), so on the order of everything before,
        even of operations that do not touch. Where that order was open, either neighbour may survive.
        """
        kind, operation, start = row[0], row[1], row[4]
        if kind == Kind.CLEAR or not (self._is_open and len(tree.erased) == 1 and tree.supply):
            return  # nothing was inserted
        erased, survivor = tree.erased[0], tree.search(start)
        if self._free_operation[erased] != operation == self._free_operation[survivor.ident]:
            tree.erased[0], survivor.ident = survivor.ident, erased

    def _look(self, replay: TreeReplay, step: int) -> _Effect | None:
        kind, subject = self._rows[step][:2]
        if kind == Step.CHECKPOINT:
            contents = replay.tree.states()
            agrees = self._owner.agrees(subject, self._tree, contents)
            return _Effect(step, snapshot=contents) if agrees else None
        released = self._replayer.released_by(replay.tree, subject)
        if released:
            replay.tree.release()
            replay.tree.erased.clear()
        return _Effect(step, erased=tuple(released))

    def _agrees(self, effect: _Effect, row: Row, *, finished: bool) -> bool:
        operation, event = row[1], self._event[effect.step]
        # Who erases a state frees it, or leaves that to somebody who still holds a cached reference.
        if any(self._free_event[i] < event for i in effect.erased):
            return False
        if any(self._free_operation[i] != operation for i in effect.left):
            return False
        if not finished:
            return True
        return self._lock_agrees(operation, int(row[4]), effect.failed_start) and self._kept(row, effect)

    def _lock_agrees(self, operation: int, start: int, failed_start: int | None) -> bool:
        """A set that fails for good repeats no success; behind its start it gives back what it got."""
        if failed_start is not None and self._repeats_success(operation):
            return False
        return failed_start in {None, start} or failed_start == self._owner.given_back.get(operation)

    def _repeats_success(self, operation: int) -> bool:
        """Whether a set that is the last of its repetitions comes after one of them that succeeded."""
        if operation in self._owner.sets_repeated:
            return False
        repeated = self._owner.repeated_sets
        while (earlier := repeated.get(operation)) is not None and earlier not in self._done:
            operation = earlier
        return earlier is not None

    def _kept(self, row: Row, effect: _Effect) -> bool:
        """Whether the kernel kept the states that the model put to use and still has in its tree."""
        operation, ident = row[1], row[2]
        own = self._several.get(operation, [ident] if ident != NONE else [])
        return all(
            self._free_operation[i] != operation or i in self._out or i in effect.left or i in effect.erased
            for i in own
        )


def _next_event_of_task(pid: NDArray[np.uint32]) -> NDArray[np.int64]:
    order = np.argsort(pid, kind="stable")
    following = np.full(len(pid), len(pid), np.int64)
    same = pid[order[1:]] == pid[order[:-1]]
    following[order[:-1][same]] = order[1:][same]
    return following
