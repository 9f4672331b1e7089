# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds an order in which contending operations can have taken the tree lock.

A record shows when an operation allocated, just before it asks for the lock, and the next event of its
task, by when it has had it. Between the two another task may have been faster. Operations are applied in
the order of their allocations; where that contradicts the record, this search looks for another order that
the record allows and that contradicts nothing: a linearization, in the words of Herlihy and Wing (1990),
found by the backtracking of Wing and Gong (1993). Only a tree for which there is none differs from its
model.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.bundle import Table
from harness.judge.operations import NONE, Operations, States
from harness.judge.replay import Replay, Row, TreeFactory, TreeReplay
from harness.judge.steps import Step, Steps

__all__ = ["Reordering"]

_MAX_TRIES = 200_000
"""Applications of an operation a tree's search may take."""


@dataclass
class _Choice:
    """A point of the search at which several steps may come next."""

    replay: TreeReplay
    pending: list[int]
    """Steps not yet applied, in the order of their allocations."""
    applied: int
    """How many steps come before this point."""
    left: list[int]
    """Candidates still to be tried."""


@dataclass
class Reordering:
    """Searches the orders that a record leaves open, tree by tree."""

    events: Table
    operations: Operations
    states: States
    new_tree: TreeFactory
    moved: int = 0
    """Steps that another order than that of their allocations was found for."""
    given_up: int = 0
    """Trees whose search was cut off."""
    locked_by: NDArray[np.int64] = field(init=False)
    """For each event the next one of its task: an allocation's operation has had the lock by then."""

    def __post_init__(self) -> None:
        self.locked_by = _next_event_of_task(self.events["pid"])

    def explain(self, steps: Steps, wrong: NDArray[np.int64]) -> Steps:
        """Return `steps` with the trees of `wrong` operations in an order without contradiction, if any."""
        for tree in np.unique(self.operations.tree[wrong]).tolist():
            rows = np.flatnonzero(steps.tree == tree)
            order = _Search(self, steps.rows(rows)).run()
            if order is not None:
                self.moved += int(np.count_nonzero(np.diff(order) < 0))
                steps = steps.reordered(rows, rows[order])
        return steps


class _Search:
    """The search for one tree."""

    def __init__(self, reordering: Reordering, steps: Steps) -> None:
        self._owner = reordering
        self._states = reordering.states
        self._steps = steps
        self._replayer = Replay(reordering.operations, reordering.states, reordering.new_tree)
        self._rows: list[Row] = list(self._replayer.rows(steps, 0, len(steps.tree)))
        self._event: list[int] = steps.event.tolist()
        self._kind: list[int] = steps.kind.tolist()
        self._until: list[int] = [
            int(reordering.locked_by[event]) if kind < Step.PROBE else event
            for event, kind in zip(self._event, self._kind, strict=True)
        ]
        self._free_event: list[int] = reordering.states.free_event.tolist()
        self._free_operation: list[int] = reordering.states.free_operation.tolist()

    def run(self) -> list[int] | None:
        """Return positions of the steps in an order without contradiction; None when there is none."""
        order: list[int] = []
        replay = TreeReplay(self._owner.new_tree(), self._steps.several)
        choices: list[_Choice] = []
        pending = list(range(len(self._rows)))
        for _ in range(_MAX_TRIES):
            if not pending:
                return order
            candidates = self._candidates(pending)
            if len(candidates) > 1:
                choices.append(_Choice(replay.copy(), pending.copy(), len(order), candidates[1:]))
            step = candidates[0]
            while not self._apply(replay, step):
                while choices and not choices[-1].left:
                    choices.pop()
                if not choices:
                    return None
                choice = choices[-1]
                step = choice.left.pop(0)
                replay, pending = choice.replay.copy(), choice.pending.copy()
                del order[choice.applied :]
            order.append(step)
            pending.remove(step)
        self._owner.given_up += 1
        return None

    def _candidates(self, pending: list[int]) -> list[int]:
        """Steps that may come next: those that began before every other pending step had had the lock."""
        limit = self._until[pending[0]]
        found: list[int] = []
        for step in pending:
            if self._event[step] >= limit and found:
                break
            found.append(step)
            limit = min(limit, self._until[step])
        return [s for s in found if self._follows_own_parts(s, pending)]

    def _follows_own_parts(self, step: int, pending: list[int]) -> bool:
        """Whether no earlier part of the same operation is still pending."""
        subject = self._rows[step][1]
        return self._kind[step] >= Step.PROBE or all(
            self._rows[p][1] != subject or self._kind[p] >= Step.PROBE for p in pending[: pending.index(step)]
        )

    def _apply(self, replay: TreeReplay, step: int) -> bool:
        """Apply a step; False when what the model does then contradicts the record."""
        tree, row = replay.tree, self._rows[step]
        if row[0] >= Step.PROBE:
            if row[0] == Step.PROBE:
                self._replayer.look(tree, row[0], row[1], 0)
            return True
        operation = row[1]
        finished = replay.apply(row) < 0
        erased, left = set(tree.erased), list(tree.supply)
        short = tree.unsupplied
        tree.erased.clear()
        tree.supply.clear()
        tree.unsupplied = 0
        if short or any(self._free_operation[ident] != operation for ident in left):
            return False
        if any(not self._may_be_erased_by(ident, operation, self._event[step]) for ident in erased):
            return False
        return not finished or self._used_as_recorded(operation, row[2], erased, left)

    def _may_be_erased_by(self, ident: int, operation: int, event: int) -> bool:
        """A state is freed by the operation that erases it, or later, when the last cached reference goes."""
        return self._free_operation[ident] == operation or self._free_event[ident] > self._until_of(event)

    def _until_of(self, event: int) -> int:
        return int(self._owner.locked_by[event])

    def _used_as_recorded(self, operation: int, ident: int, erased: set[int], left: list[int]) -> bool:
        """The kernel freed none of its own new states in the operation but those the model has no use for."""
        own = self._steps.several.get(operation, [ident] if ident != NONE else [])
        return all(
            self._free_operation[i] != operation or i in erased or i in left or self._erased_before(i)
            for i in own
        )

    def _erased_before(self, ident: int) -> bool:
        # An earlier part of a long operation may have erased a state of its own already.
        return len(self._steps.several) > 0 and ident not in self._steps.supply


def _next_event_of_task(pid: NDArray[np.uint32]) -> NDArray[np.int64]:
    order = np.argsort(pid, kind="stable")
    following = np.full(len(pid), len(pid), np.int64)
    same = pid[order[1:]] == pid[order[:-1]]
    following[order[:-1][same]] = order[1:][same]
    return following
