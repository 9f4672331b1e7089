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

import numpy as np

from harness.capture.records import Kind
from harness.judge.operations import NONE, Operations, States
from harness.judge.steps import Step, Steps
from reference.extent_state import FAILED, ExtentIoTree

__all__ = ["RELEASED", "Outcome", "Replay", "Snapshot", "TreeFactory"]

RELEASED = -2
"""In `Outcome.erased_by`: the state's tree was released as a whole."""

TreeFactory = Callable[[], ExtentIoTree]
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
        for first, last in zip(bounds, [*bounds[1:], len(steps.tree)], strict=True):
            end = last if until is None else first + int(np.searchsorted(steps.event[first:last], until))
            tree = self.new_tree()
            self._run_tree(tree, steps, first, end)
        return tree

    def _run_tree(self, tree: ExtentIoTree, steps: Steps, first: int, last: int) -> None:
        outcome = self.outcome
        supply, erased = tree.supply, tree.erased
        sections = {Kind.SET: tree.set_section, Kind.CLEAR: tree.clear_section}
        convert, convert_section = int(Kind.CONVERT), tree.convert_section
        paused: dict[int, tuple[int, list[int]]] = {}
        for kind, subject, ident, parts, start, end, bits, clear_bits in self._rows(steps, first, last):
            position = start
            if ident != NONE:
                supply.append(ident)
            elif kind >= Step.PROBE:
                self._look(tree, kind, subject, int(steps.tree[first]))
                continue
            elif subject in paused:
                position, supply[:] = paused.pop(subject)
            else:
                supply[:] = reversed(steps.several.get(subject, ()))
            # The supply shrinks to `kept` when the kernel has to drop the lock and allocate again.
            kept = len(steps.several[subject]) - parts if parts else NONE
            while position >= 0 and len(supply) != kept:
                if kind == convert:
                    position = convert_section(position, end, bits, clear_bits)
                else:
                    position = sections[kind](position, end, bits)
            if position >= 0:
                paused[subject] = position, supply.copy()
                supply.clear()
            elif position == FAILED:
                outcome.failed_start[subject] = tree.failed_start
            if supply or erased or tree.unsupplied:
                self._account(tree, subject)

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

    def _rows(self, steps: Steps, first: int, last: int) -> Iterator[tuple[int, ...]]:
        part = slice(first, last)
        kinds, subjects = steps.kind[part], steps.subject[part]
        operation = np.where(kinds < Step.PROBE, subjects, 0)
        columns = (
            self.operations.start,
            self.operations.end,
            self.operations.bits,
            self.operations.clear_bits,
        )
        return zip(
            kinds.tolist(),
            subjects.tolist(),
            steps.supply[part].tolist(),
            steps.parts[part].tolist(),
            *(column[operation].tolist() for column in columns),
            strict=True,
        )

    def _look(self, tree: ExtentIoTree, kind: int, subject: int, address: int) -> None:
        if kind == Step.CHECKPOINT:
            self.outcome.snapshots[subject, address] = tree.states()
        else:
            self._release_if_begun(tree, subject)

    def _release_if_begun(self, tree: ExtentIoTree, state: int) -> None:
        """Empty the tree when `state`, freed outside of an operation, and all others in it went at once.

        btrfs_extent_io_tree_release() enters no operation: one task frees every state before it goes on.
        """
        live = [ident for _, _, _, ident in tree.states()]
        by = self.states.free_operation[live] == self.states.free_operation[state]
        if state in live and by.all():
            tree.release()
            tree.erased.clear()
            self.outcome.releases += 1
            for ident in live:
                self.outcome.erased_by[ident] = RELEASED
