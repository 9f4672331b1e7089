# SPDX-License-Identifier: GPL-2.0-or-later
"""The order in which a record is applied to the model: operations, other frees, checkpoints; tree by tree."""

from __future__ import annotations

from collections.abc import Sequence
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
    def of(
        cls,
        operations: Operations,
        states: States,
        probes: Index,
        checkpoints: Sequence[int],
        *,
        join: bool = True,
    ) -> Steps:
        """Order `operations`, the states freed elsewhere (`probes`) and checkpoints (event positions).

        With `join`, allocations of an operation that nothing on its tree came between are one step.
        """
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
        return cls._ordered(tree[order], event[order], kind[order], subject[order], supply[order], join)

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

    @classmethod
    def _ordered(
        cls, tree: NDArray[np.uint64], event: Index, kind: Index, subject: Index, supply: Index, join: bool
    ) -> Steps:
        is_operation = kind < Step.PROBE
        times = np.bincount(subject[is_operation], minlength=1)
        repeated = is_operation & (times[np.where(is_operation, subject, 0)] > 1)
        joined = np.zeros(len(tree), bool)
        joined[1:] = repeated[1:] & repeated[:-1] & (subject[1:] == subject[:-1]) & join
        rows = np.flatnonzero(repeated)
        rows = rows[np.argsort(subject[rows], kind="stable")]
        several: dict[int, list[int]] = {}
        for operation, state in zip(subject[rows].tolist(), supply[rows].tolist(), strict=True):
            several.setdefault(operation, []).append(state)
        supply = np.where(repeated, NONE, supply)
        parts = _parts(rows, subject, joined)
        kept = np.flatnonzero(~joined)
        return cls(tree[kept], event[kept], kind[kept], subject[kept], supply[kept], parts[kept], several)


def activations(operations: Operations, states: States) -> Index:
    """For each operation the event at which it is applied first: its first allocation, or its entry."""
    first = operations.event.copy()
    own = np.flatnonzero(states.operation != NONE)[::-1]
    first[states.operation[own]] = states.event[own]
    return first


def _parts(rows: Index, subject: Index, joined: NDArray[np.bool_]) -> Index:
    """For each step of an operation but its last: the states that it and those before it have handed out.

    `rows` are the allocations of operations that have several, operation by operation.
    """
    first = np.searchsorted(subject[rows], subject[rows])
    rank = np.arange(len(rows)) - first
    heads = np.flatnonzero(~joined[rows])
    goes_on = subject[rows[heads[:-1]]] == subject[rows[heads[1:]]]
    parts = np.zeros(len(subject), np.int64)
    parts[rows[heads[:-1][goes_on]]] = rank[heads[1:][goes_on]]
    return parts
