# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for the kernel, for tests of the judge: tasks work on trees and leave a record.

Each task enters an operation, allocates, may be preempted, takes the lock for one section, and so on: what
the record of a real kernel shows, with an order of locking that only the simulation knows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from harness.bundle import Table
from harness.capture.checkpoints import Checkpoint, TreeContents
from harness.capture.records import RECORD, Kind
from harness.capture.walk import STATE
from reference.extent_state import FAILED, LINUX_6_18, Behaviour, ExtentIoTree

__all__ = ["Operation", "SimulatedKernel"]


@dataclass(frozen=True)
class Operation:
    """One call of a task."""

    kind: Kind
    start: int
    end: int
    bits: int
    clear_bits: int = 0
    tree: int = 0x1000


@dataclass
class SimulatedKernel:
    """Runs tasks on trees; `events` grows as a capture's would."""

    seed: int = 0
    preemption: float = 0.3
    """Chance that another task goes on between an allocation and the lock it is for."""
    cached: float = 0.0
    """Chance that a state which leaves the tree is kept by another task's cached reference for a while."""
    need_resched: bool = False
    """Whether operations drop the lock wherever the kernel asks need_resched()."""
    behaviour: Behaviour = Behaviour.linux_6_18
    trees: dict[int, ExtentIoTree] = field(default_factory=dict)
    rows: list[tuple[int, ...]] = field(default_factory=list)
    pointers: dict[int, int] = field(default_factory=dict)
    """Identity in the simulation's trees -> address."""
    free_pointers: list[int] = field(default_factory=list)
    held: list[tuple[int, int]] = field(default_factory=list)
    """States out of their tree that are not freed yet, with the task that erased them."""
    checkpoints: list[Checkpoint] = field(default_factory=list)
    failed: int = 0

    def run(self, tasks: Sequence[Sequence[Operation]]) -> None:
        """Run each task's operations; the seed decides who goes on when."""
        rng = self._rng
        running = [self.task(pid, operations) for pid, operations in enumerate(tasks, 100)]
        current = 0
        while running:
            if rng.random() < self.preemption:
                current = rng.randrange(len(running))
            current %= len(running)
            if next(running[current], None) is None:
                del running[current]
        self._drop_references(0)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def release(self, tree: int, pid: int = 99) -> None:
        """btrfs_extent_io_tree_release() by a task."""
        self.trees[tree].release()
        self._free_erased(tree, pid)

    def checkpoint(self, name: str) -> None:
        """Take a checkpoint of all trees as they are."""
        trees = []
        for address, tree in self.trees.items():
            rows = np.zeros(len(tree), STATE)
            for row, (start, end, bits, ident) in zip(rows, tree.states(), strict=True):
                row["start"], row["end"], row["bits"] = start, end, bits
                row["ptr"], row["refs"] = self.pointers[ident], 1
            trees.append(TreeContents(address, 3, 257, 5, False, rows))
        self.checkpoints.append(Checkpoint(name, len(self.rows), len(self.rows), True, "", tuple(trees)))

    def events(self) -> Table:
        """Return the record so far as an event table."""
        names = [name for name in RECORD.names or () if name != "header"]
        columns = zip(*self.rows, strict=True)
        return {n: np.array(c, RECORD[n]) for n, c in zip(names, columns, strict=True)}

    def task(self, pid: int, operations: Sequence[Operation]) -> Iterator[bool]:
        """Yield wherever another task can go on; for tests that schedule by hand."""
        for op in operations:
            self._emit(op.kind, op.tree, pid, op)
            yield True
            yield from self._operation(pid, op)

    def _operation(self, pid: int, op: Operation) -> Iterator[bool]:
        tree = self.trees.setdefault(op.tree, ExtentIoTree(LINUX_6_18, self.behaviour))
        tree.need_resched = self.need_resched
        prealloc: list[int] = []
        position = op.start
        while position >= 0:
            if not prealloc:
                prealloc = [self._allocate(pid)]
                yield True
            position = self._section(tree, pid, op, position, prealloc)
            yield True
        failed_start = tree.failed_start if position == FAILED else op.start
        for ident in prealloc:
            self._free(ident, pid)
        yield True
        self.failed += position == FAILED
        if failed_start > op.start:
            # try_lock_extent() gives back what it had got.
            back = replace(op, kind=Kind.CLEAR, end=failed_start - 1)
            yield from self.task(pid, [back])

    def _section(
        self, tree: ExtentIoTree, pid: int, op: Operation, position: int, prealloc: list[int]
    ) -> int:
        # What a section needs beyond its preallocation is allocated under the lock: try it on a copy first.
        needed = self._states_needed(tree.copy(), op, position, len(prealloc))
        prealloc[:0] = [self._allocate(pid) for _ in range(needed)][::-1]
        tree.supply = prealloc
        self._drop_references(pid)
        position = self._apply(tree, op, position)
        self._free_erased(op.tree, pid)
        return position

    def _states_needed(self, tree: ExtentIoTree, op: Operation, position: int, have: int) -> int:
        tree.supply = list(range(have))
        self._apply(tree, op, position)
        return tree.unsupplied

    def _apply(self, tree: ExtentIoTree, op: Operation, position: int) -> int:
        if op.kind == Kind.SET:
            return tree.set_section(position, op.end, op.bits)
        if op.kind == Kind.CLEAR:
            return tree.clear_section(position, op.end, op.bits)
        return tree.convert_section(position, op.end, op.bits, op.clear_bits)

    def _allocate(self, pid: int) -> int:
        ident = len(self.pointers)
        pointer = self.free_pointers.pop() if self.free_pointers else 0xFFFF_0000 + 64 * ident
        self.pointers[ident] = pointer
        self._emit(Kind.ALLOC, pointer, pid)
        return ident

    def _free(self, ident: int, pid: int) -> None:
        self.free_pointers.append(self.pointers[ident])
        self._emit(Kind.FREE, self.pointers[ident], pid)

    def _free_erased(self, tree: int, pid: int) -> None:
        for ident in self.trees[tree].erased:
            if self._rng.random() < self.cached:
                self.held.append((ident, pid))
            else:
                self._free(ident, pid)
        self.trees[tree].erased.clear()

    def _drop_references(self, pid: int) -> None:
        """Free what other tasks erased: the last reference was this task's."""
        for ident, erased_by in [h for h in self.held if h[1] != pid]:
            self.held.remove((ident, erased_by))
            self._free(ident, pid)

    def _emit(self, kind: Kind, ptr: int, pid: int, op: Operation | None = None) -> None:
        time_ns = 1000 * len(self.rows)
        if op is None:
            self.rows.append((time_ns, ptr, 0, 0, 0, 0, 0, 0, pid, 0, kind, 0))
        else:
            length = (op.end - op.start + 1) % 2**64
            row = (time_ns, ptr, op.start, length, 257, 5, op.bits, op.clear_bits, pid, 0, kind, 3)
            self.rows.append(row)
