# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways to read trees from devices, done once or in turns: what a benchmark compares.

>>> runs = compare(devices, [2, 7], [Walk(), ReadAhead()], repetitions=10)  # doctest: +SKIP
>>> [run.seconds for run in runs if run.method == "walk"]  # doctest: +SKIP
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.metadata import FileSystem
from harness.readahead.direct import DEPTH, DirectReadahead
from harness.readahead.direct_walk import DirectWalk
from harness.readahead.reads import Run, Wanted
from reference.readahead import MAX_KEY, MIN_KEY, Behaviour, Key

__all__ = ["Method", "ReadAhead", "Walk", "compare", "wanted"]


class Method(Protocol):
    """A way to read trees."""

    def read(self, filesystem: FileSystem, trees: Sequence[Wanted]) -> Run:
        """Read `trees`, and say what was read when."""


@dataclass(frozen=True)
class Walk:
    """The traditional walk: tree after tree, block after block."""

    turn: int = 0
    """Which copy is read first, modulo the number of copies."""

    def read(self, filesystem: FileSystem, trees: Sequence[Wanted]) -> Run:
        """See `Method.read`."""
        walk, finished = DirectWalk(filesystem, self.turn), []
        begin = time.monotonic_ns()
        for tree in trees:
            walk.walk(tree)
            finished.append(time.monotonic_ns() - begin)
        return Run("walk", tuple(trees), 1, max(finished, default=0), tuple(finished), tuple(walk.reads))


@dataclass(frozen=True)
class ReadAhead:
    """The reference engine, all trees at once."""

    behaviour: Behaviour = field(default_factory=lambda: Behaviour.linux_5_10)
    depth: int = DEPTH
    """Reads that a device is given at a time."""

    def read(self, filesystem: FileSystem, trees: Sequence[Wanted]) -> Run:
        """See `Method.read`."""
        with DirectReadahead(filesystem, self.behaviour, self.depth) as readahead:
            begin = time.monotonic_ns()
            numbers = [readahead.add(tree) for tree in trees]
            ends = readahead.wait()
        finished = tuple(ends[number] - begin for number in numbers)
        reads = tuple(sorted(readahead.reads, key=lambda read: read.submitted_ns))
        method = f"readahead {self.behaviour.name}"
        return Run(method, tuple(trees), self.depth, max(finished, default=0), finished, reads)


def wanted(filesystem: FileSystem, tree: int, key_start: Key = MIN_KEY, key_end: Key = MAX_KEY) -> Wanted:
    """Return what is to be read of a tree, by its id; MetadataError if there is none."""
    root = filesystem.root(tree)
    return Wanted(tree, root.bytenr, root.generation, key_start, key_end)


def compare(
    devices: Sequence[Path],
    trees: Sequence[int],
    methods: Sequence[Method],
    repetitions: int,
    *,
    keys: tuple[Key, Key] = (MIN_KEY, MAX_KEY),
    degraded: bool = False,
) -> Iterator[Run]:
    """Yield the runs of all methods, `repetitions` of each, in turns: each round begins with the next one.

    Of each tree `keys` are read, from the first up to but not including the second. `devices` are read past
    the page cache of this machine; nobody may write to them meanwhile. What is read to find the trees' roots
    is not part of a run. MetadataError if they cannot be read.
    """
    for repetition in range(repetitions):
        first = repetition % len(methods)
        for method in (*methods[first:], *methods[:first]):
            with FileSystem(devices, degraded=degraded, direct=True) as filesystem:
                yield method.read(filesystem, [wanted(filesystem, tree, *keys) for tree in trees])
