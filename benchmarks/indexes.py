# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure the indexes of extents against sortedcontainers: `python -m benchmarks.indexes [--entries N]`.

Entries of a page each, every other page, in random order: inserted, searched for, walked from neighbour to
neighbour, looked up in gangs of 16, replaced (one erased, another inserted) and erased. Where not all ways
answer the same, the run ends. CPU time, in turns; a ratio is taken within one round.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from sortedcontainers import SortedKeyList

from benchmarks.common import arguments, in_turns, median_range, run, show_machine
from harness.errors import InfrastructureError
from reference.index import BPlusTree, Extent, ExtentIndex, RadixTree, RbTree, counting
from reference.index.work import Memory, Work

__all__ = ["SortedIndex", "main"]

PAGE = 4096
GANG = 16
SEED = 2007
BASE = "sortedcontainers"


class SortedIndex(ExtentIndex[Extent]):
    """The interface on top of a SortedKeyList."""

    def __init__(self) -> None:
        self.entries = SortedKeyList(key=lambda entry: entry.end)
        self.work = Work()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Extent]:
        return iter(self.entries)

    def insert(self, entry: Extent) -> Extent | None:
        """Add `entry`, or return the one that is there."""
        present = self.lookup(entry.end)
        if present is None:
            self.entries.add(entry)
        return present

    def lookup(self, end: int) -> Extent | None:
        """Return the entry that ends at `end`, or None."""
        entry = self.search(end)
        return entry if entry is not None and entry.end == end else None

    def search(self, offset: int) -> Extent | None:
        """Return the first entry that ends at or after `offset`, or None."""
        return next(self.entries.irange_key(offset), None)

    def gang_lookup(self, offset: int, count: int) -> list[Extent]:
        """Return the first `count` entries that end at or after `offset`."""
        at = self.entries.bisect_key_left(offset)
        return list(self.entries.islice(at, at + count))

    def next(self, entry: Extent) -> Extent | None:
        """Return the entry after `entry`, or None."""
        return self.search(entry.end + 1)

    def prev(self, entry: Extent) -> Extent | None:
        """Return the entry before `entry`, or None."""
        return next(self.entries.irange_key(None, entry.end - 1, reverse=True), None)

    def erase(self, entry: Extent) -> None:
        """Remove `entry`."""
        self.entries.remove(entry)

    def memory(self) -> Memory:
        """Return an array's size: the list is not the kernel's."""
        return Memory(1, 8 * len(self.entries), 0, len(self.entries), 0)

    def validate(self) -> None:
        """Check the list."""
        self.entries._check()


Index: TypeAlias = ExtentIndex[Extent]
TREES: dict[str, type[Index]] = {"red-black tree": RbTree, "radix tree": RadixTree, "B+tree": BPlusTree}
WAYS: dict[str, type[Index]] = {
    BASE: SortedIndex,
    **TREES,
    **{f"{name}, counting": counting(cls) for name, cls in TREES.items()},
}


@dataclass(frozen=True)
class Load:
    """What is done: entries are inserted at `ends`, and in the end replaced by as many at `spare`."""

    ends: Sequence[int]
    spare: Sequence[int]

    @classmethod
    def random(cls, entries: int) -> Load:
        """Choose every other of 2 * `entries` pages, and those between, both in random order."""
        rng = random.Random(SEED)
        lasts = [page * PAGE + PAGE - 1 for page in range(2 * entries)]
        return cls(rng.sample(lasts[::2], entries), rng.sample(lasts[1::2], entries))


@dataclass
class Measured:
    """Microseconds an operation by phase, and what was answered."""

    us: dict[str, float]
    answers: list[int]


def measure(cls: type[Index], load: Load) -> Measured:
    """Run all phases on a new index."""
    index = cls()
    entries = [Extent(end - PAGE + 1, end) for end in load.ends]
    others = [Extent(end - PAGE + 1, end) for end in load.spare]
    phases: dict[str, Callable[[], int]] = {
        "insert": lambda: sum(index.insert(entry) is None for entry in entries),
        "search": lambda: sum(found.end for end in load.spare if (found := index.search(end))),
        "next": lambda: sum(found.end for entry in entries if (found := index.next(entry))),
        "prev": lambda: sum(found.end for entry in entries if (found := index.prev(entry))),
        "gang of 16": lambda: sum(len(index.gang_lookup(end, GANG)) for end in load.spare),
        "replace": partial(_replace, index, entries, others),
        "erase": partial(_erase, index, others),
    }
    measured = Measured({}, [])
    for name, phase in phases.items():
        gc.collect()
        gc.disable()
        begun = time.process_time()
        measured.answers.append(phase())
        measured.us[name] = (time.process_time() - begun) / len(entries) * 1e6
        gc.enable()
    return measured


def _replace(index: Index, old: Sequence[Extent], new: Sequence[Extent]) -> int:
    for gone, come in zip(old, new, strict=True):
        index.erase(gone)
        index.insert(come)
    return len(index)


def _erase(index: Index, entries: Sequence[Extent]) -> int:
    for entry in entries:
        index.erase(entry)
    return len(index)


def main() -> None:
    """Print a table of times for each phase and one of memory."""
    options = arguments(
        "Indexes of extents against sortedcontainers.",
        entries=(10_000, "entries in each index"),
        repetitions=(5, "rounds"),
    )
    show_machine()
    load = Load.random(options.entries)
    rounds: dict[str, list[Measured]] = {name: [] for name in WAYS}

    def one(name: str) -> float:
        rounds[name].append(measure(WAYS[name], load))
        return sum(rounds[name][-1].us.values())

    deadline = time.monotonic() + options.deadline
    in_turns({name: partial(one, name) for name in WAYS}, options.repetitions, deadline)
    _same_answers(rounds)
    for phase in rounds[BASE][0].us:
        print(f"\n{phase}, {options.entries:,} entries: us an operation, and as a multiple of {BASE}")
        base = [measured.us[phase] for measured in rounds[BASE]]
        for name, done in rounds.items():
            us = [measured.us[phase] for measured in done]
            ratios = [mine / theirs for mine, theirs in zip(us, base, strict=True)]
            print(f"  {name:<26} {median_range(us):>20}  {median_range(ratios):>20}")
    _show_memory(load)


def _same_answers(rounds: dict[str, list[Measured]]) -> None:
    answers = {name: [measured.answers for measured in done] for name, done in rounds.items()}
    for name, given in answers.items():
        if given != answers[BASE]:
            raise InfrastructureError(
                f"{name} answers {given}, {BASE} {answers[BASE]}: a bug of iodiff, report it"
            )


def _show_memory(load: Load) -> None:
    print(f"\nmemory and work of {len(load.ends):,} insertions, as on x86-64 Linux 2.6.22")
    for name, cls in TREES.items():
        index = counting(cls)()
        for end in load.ends:
            index.insert(Extent(end - PAGE + 1, end))
        memory = index.memory()
        print(f"  {name:<14} {memory.total_bytes / len(load.ends):>7.1f} bytes an entry; {index.work}")


if __name__ == "__main__":
    run(main)
