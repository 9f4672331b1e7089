# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the operations of a record through the model, tree by tree.

An operation takes the tree lock after its preallocation, so it is applied where its `alloc` event stands, not
where it was entered; when it had to allocate again it dropped the lock in between, and what stands between
the two events is applied between the two parts. The states that the kernel allocated are the model's supply,
by identity (their position in `States`), so that every state the model uses, leaves over, merges away or
clears can be held against the free event of exactly that state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from harness.capture.records import Kind
from harness.judge.operations import NONE, Operations, States
from harness.judge.steps import Step, Steps
from reference.extent_state import FAILED, ExtentIoTree

__all__ = ["RELEASED", "Outcome", "Replay", "Row", "Snapshot", "TreeFactory", "TreeReplay"]

RELEASED = -2
"""In `Outcome.erased_by`: the state's tree was released as a whole."""

TreeFactory = Callable[[], ExtentIoTree]
Row = tuple[int, int, int, int, int, int, int, int]
"""A step: kind, subject, supply, parts (see `Steps`), and start, end, bits, clear_bits of an operation."""
Snapshot = list[tuple[int, int, int, int]]
"""(start, end, bits, identity) of every state of a tree, in order."""


@dataclass
class Outcome:
    """What the model did with a record."""

    erased_by: list[int]
    """For each state the operation that took it out of the tree, RELEASED, or NONE."""
    unused: bytearray
    """For each state: 1 when the model left the preallocation over."""
    failed_start: dict[int, int] = field(default_factory=dict)
    """Operations that met an exclusive bit, with the offset where."""
    short: set[int] = field(default_factory=set)
    """Operations that needed more states than the kernel allocated."""
    releases: int = 0
    snapshots: dict[tuple[int, int], Snapshot] = field(default_factory=dict)
    """(checkpoint, tree) -> contents."""


class TreeReplay:
    """One tree to which operations are applied, a step at a time."""

    def __init__(self, tree: ExtentIoTree, several: dict[int, list[int]]) -> None:
        self.tree = tree
        self._several = several
        self.paused: dict[int, tuple[int, list[int]]] = {}
        """Operations begun and not finished: where they go on, and the supply they have left."""
        self._section = {int(Kind.SET): tree.set_section, int(Kind.CLEAR): tree.clear_section}

    def copy(self) -> TreeReplay:
        """Return an independent copy, to try another order on."""
        twin = TreeReplay(self.tree.copy(), self._several)
        twin.paused = dict(self.paused)
        return twin

    def apply(self, row: Row, *, once: bool = False) -> int:
        """Apply an operation, or the part of it up to its next allocation, or `once` the lock is held.

        Returns what its last section did: DONE, FAILED, or where it goes on when it is applied again. The
        tree's `supply`, `erased` and `unsupplied` tell what became of its states until they are emptied.
        """
        kind, subject, ident, parts, position, end, bits, clear_bits = row
        supply = self.tree.supply
        kept = NONE
        if ident == NONE or subject in self.paused:
            position, kept = self._resume(subject, ident, parts, position)
        else:
            supply.append(ident)
        if kind == Kind.CONVERT:
            section = self.tree.convert_section
            while position >= 0 and len(supply) > kept:
                position = section(position, end, bits, clear_bits)
                if once:
                    break
        else:
            plain_section = self._section[kind]
            while position >= 0 and len(supply) > kept:
                position = plain_section(position, end, bits)
                if once:
                    break
        if parts or position >= 0:
            # What it allocated under the lock it has used already, though it stands in a later step.
            self.paused[subject] = position, supply.copy() if position >= 0 else []
        if position >= 0:
            supply.clear()
        return position

    def waits(self, row: Row) -> bool:
        """Whether an operation that is not finished has to allocate first, in a later step."""
        _, subject, _, parts, *_ = row
        position, supply = self.paused.get(subject, (0, []))
        return bool(parts) and (position < 0 or len(supply) <= len(self._several[subject]) - parts)

    def _resume(self, subject: int, ident: int, parts: int, start: int) -> tuple[int, int]:
        """Take up an operation that was begun or has several allocations: where to go on, when to stop."""
        idents = self._several.get(subject, [ident] if ident != NONE else [])
        position, supply = self.paused.pop(subject, (start, idents[::-1]))
        self.tree.supply[:] = supply
        # It drops the lock to allocate again when only what it allocates later is left of its supply.
        return position, len(idents) - parts if parts else NONE


class Replay:
    """A record being applied to models made by `new_tree`."""

    def __init__(self, operations: Operations, states: States, new_tree: TreeFactory) -> None:
        self.operations = operations
        self.states = states
        self.new_tree = new_tree
        self.outcome = Outcome([NONE] * len(states), bytearray(len(states)))

    def run(self, steps: Steps, *, until: int | None = None) -> ExtentIoTree:
        """Apply all steps, or those before event `until`; return the last tree."""
        tree = self.new_tree()
        bounds = np.flatnonzero(np.diff(steps.tree, prepend=~steps.tree[:1])).tolist()
        for first, last in pairwise([*bounds, len(steps.tree)]):
            end = last if until is None else first + int(np.count_nonzero(steps.event[first:last] < until))
            tree = self.new_tree()
            self._run_tree(tree, steps, first, end)
        return tree

    def rows(self, steps: Steps, first: int, last: int) -> Iterator[Row]:
        """Yield the steps first..last-1 as plain rows."""
        part = slice(first, last)
        kinds, subjects = steps.kind[part], steps.subject[part]
        operation = np.where(kinds < Step.PROBE, subjects, 0)
        ops = self.operations
        return zip(
            kinds.tolist(),
            subjects.tolist(),
            steps.supply[part].tolist(),
            steps.parts[part].tolist(),
            ops.start[operation].tolist(),
            ops.end[operation].tolist(),
            ops.bits[operation].tolist(),
            ops.clear_bits[operation].tolist(),
            strict=True,
        )

    def _run_tree(self, tree: ExtentIoTree, steps: Steps, first: int, last: int) -> None:
        supply, erased = tree.supply, tree.erased
        replay = TreeReplay(tree, steps.several)
        apply = replay.apply
        failed_start = self.outcome.failed_start
        address = int(steps.tree[first])
        for row in self.rows(steps, first, last):
            if row[0] >= Step.PROBE:
                self.look(tree, row[0], row[1], address)
                continue
            if apply(row) == FAILED:
                failed_start[row[1]] = tree.failed_start
            if supply or erased or tree.unsupplied:
                self._account(tree, row[1])

    def _account(self, tree: ExtentIoTree, operation: int) -> None:
        """Note which states an operation left over, took out of the tree, or was short of."""
        for left in tree.supply:
            self.outcome.unused[left] = 1
        for gone in tree.erased:
            self.outcome.erased_by[gone] = operation
        if tree.unsupplied:
            self.outcome.short.add(operation)
        tree.supply.clear()
        tree.erased.clear()
        tree.unsupplied = 0

    def look(self, tree: ExtentIoTree, kind: int, subject: int, address: int) -> None:
        """Take a checkpoint, or see whether the tree is being released."""
        if kind == Step.CHECKPOINT:
            self.outcome.snapshots[subject, address] = tree.states()
        else:
            self._release_if_begun(tree, subject)

    def _release_if_begun(self, tree: ExtentIoTree, state: int) -> None:
        released = self.released_by(tree, state)
        if released:
            tree.release()
            tree.erased.clear()
            self.outcome.releases += 1
            for ident in released:
                self.outcome.erased_by[ident] = RELEASED

    def released_by(self, tree: ExtentIoTree, state: int) -> list[int]:
        """Return all states if `state`, freed outside of an operation, and the others went at once.

        btrfs_extent_io_tree_release() enters no operation: one task frees every state before it goes on.
        """
        live = [ident for _, _, _, ident in tree.states()]
        by = self.states.free_operation[live] == self.states.free_operation[state]
        return live if state in live and by.all() else []
