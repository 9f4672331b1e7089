# SPDX-License-Identifier: GPL-2.0-or-later
"""The order in which a record is applied to the model: operations, other frees, checkpoints; tree by tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.judge.operations import NONE, Operations, States

__all__ = ["Step", "Steps", "activations"]

Index = NDArray[np.int64]


class Step(IntEnum):
    """What a step is, beside the operations (`harness.capture.records.Kind` 1-3)."""

    PROBE = 10
    """A state was freed outside of its tree's operations: a release begins, if it is still there."""
    CHECKPOINT = 11


@dataclass(frozen=True)
class Steps:
    """Steps sorted by tree and then by event; every column has one value a step."""

    tree: NDArray[np.uint64]
    event: Index
    kind: Index
    subject: Index
    """Operation, state (of a probe) or number of the checkpoint."""
    supply: Index
    """The one state that the operation allocated; NONE when there are more or none (`several`)."""
    parts: Index
    """How many of its states an operation may use up before it has to wait for its next step; 0 for all."""
    several: dict[int, list[int]]
    """States of the operations that allocated more than one."""

    @classmethod
    def of(cls, operations: Operations, states: States, probes: Index, checkpoints: Sequence[int]) -> Steps:
        """Order `operations`, the states freed elsewhere (`probes`) and checkpoints (event positions)."""
        own = np.flatnonzero(states.operation != NONE)
        allocations = np.bincount(states.operation[own], minlength=len(operations))
        silent = np.flatnonzero(allocations == 0)
        trees = np.unique(operations.tree)
        tree = np.concatenate(
            (
                operations.tree[states.operation[own]],
                operations.tree[silent],
                operations.tree[states.operation[probes]],
                np.repeat(trees, len(checkpoints)),
            )
        )
        event = np.concatenate(
            (
                states.event[own],
                operations.event[silent],
                states.free_event[probes],
                np.tile(np.array(checkpoints, np.int64), len(trees)),
            )
        )
        subject = np.concatenate(
            (states.operation[own], silent, probes, np.tile(np.arange(len(checkpoints)), len(trees)))
        )
        kind = np.concatenate(
            (
                operations.kind[states.operation[own]],
                operations.kind[silent],
                np.full(len(probes), Step.PROBE),
                np.full(len(trees) * len(checkpoints), Step.CHECKPOINT),
            )
        ).astype(np.int64)
        supply = np.full(len(tree), NONE, np.int64)
        supply[: len(own)] = own
        # A checkpoint stands before the event that has its number.
        order = np.lexsort((kind != Step.CHECKPOINT, event, tree))
        return cls._joined(tree[order], event[order], kind[order], subject[order], supply[order])

    def rows(self, rows: NDArray[Any]) -> Steps:
        """Return some of the steps, in the order of `rows`."""
        return Steps(
            self.tree[rows],
            self.event[rows],
            self.kind[rows],
            self.subject[rows],
            self.supply[rows],
            self.parts[rows],
            self.several,
        )

    def only(self, tree: int) -> Steps:
        """Return the steps of one tree."""
        return self.rows(self.tree == tree)

    def reordered(self, rows: Index, order: Index) -> Steps:
        """Return the steps with those of `rows` in the order `order`."""
        all_rows = np.arange(len(self.tree))
        all_rows[rows] = order
        return self.rows(all_rows)

    @classmethod
    def _joined(
        cls, tree: NDArray[np.uint64], event: Index, kind: Index, subject: Index, supply: Index
    ) -> Steps:
        """Join an operation's allocations that nothing on its tree came between."""
        is_operation = kind < Step.PROBE
        joined = np.zeros(len(tree), bool)
        joined[1:] = (
            is_operation[1:] & is_operation[:-1] & (subject[1:] == subject[:-1]) & (tree[1:] == tree[:-1])
        )
        several: dict[int, list[int]] = {}
        repeated = _repeated(subject[is_operation])
        for row in np.flatnonzero(is_operation & np.isin(subject, repeated)).tolist():
            several.setdefault(int(subject[row]), []).append(int(supply[row]))
        supply = np.where(is_operation & np.isin(subject, repeated), NONE, supply)
        kept = np.flatnonzero(~joined)
        parts = np.zeros(len(tree), np.int64)
        for row, limit in _interrupted(subject, is_operation, joined):
            parts[row] = limit
        return cls(tree[kept], event[kept], kind[kept], subject[kept], supply[kept], parts[kept], several)


def activations(operations: Operations, states: States) -> Index:
    """For each operation the event at which it is applied first: its first allocation, or its entry."""
    first = operations.event.copy()
    own = np.flatnonzero(states.operation != NONE)[::-1]
    first[states.operation[own]] = states.event[own]
    return first


def _repeated(values: NDArray[Any]) -> NDArray[Any]:
    found, counts = np.unique(values, return_counts=True)
    return found[counts > 1]


def _interrupted(
    subject: Index, is_operation: NDArray[np.bool_], joined: NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Yield the steps of operations that others came between: row, states used up by then."""
    heads = np.flatnonzero(is_operation & ~joined)
    again = _repeated(subject[heads])
    for operation in again.tolist():
        rows = np.flatnonzero(is_operation & (subject == operation))
        for used, row in enumerate(rows.tolist()):
            if used and not joined[row]:
                # The step before this one ends with `used` states handed out.
                yield int(rows[:used][~joined[rows[:used]]][-1]), used
