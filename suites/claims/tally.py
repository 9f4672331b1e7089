# SPDX-License-Identifier: GPL-2.0-or-later
"""Counting the operations that a tree of states asks of its index, and those that merging asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reference.extent_map import ExtentState
from reference.index import ExtentIndex, Memory, Work

__all__ = ["CHANGES", "TalliedIndex", "Tally"]

CHANGES = ("insert", "erase")
"""Operations that change the index; all others only look."""


class Tally:
    """Operations on an index by name; `merging` has those that were asked for by merge_state."""

    def __init__(self) -> None:
        self.all: Counter[str] = Counter()
        self.merging: Counter[str] = Counter()
        self.in_merge = False

    def note(self, name: str) -> None:
        """Count one operation."""
        self.all[name] += 1
        if self.in_merge:
            self.merging[name] += 1


class TalliedIndex(ExtentIndex[ExtentState]):
    """An index that notes each operation in `tally`. A delete is an erasure by `end`."""

    def __init__(self, inner: ExtentIndex[ExtentState], tally: Tally) -> None:
        self.inner = inner
        self.tally = tally
        self.work: Work = inner.work

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[ExtentState]:
        return iter(self.inner)

    def insert(self, entry: ExtentState) -> ExtentState | None:
        """See ExtentIndex."""
        self.tally.note("insert")
        return self.inner.insert(entry)

    def lookup(self, end: int) -> ExtentState | None:
        """See ExtentIndex."""
        self.tally.note("lookup")
        return self.inner.lookup(end)

    def search(self, offset: int) -> ExtentState | None:
        """See ExtentIndex."""
        self.tally.note("search")
        return self.inner.search(offset)

    def gang_lookup(self, offset: int, count: int) -> list[ExtentState]:
        """See ExtentIndex."""
        self.tally.note("search")
        return self.inner.gang_lookup(offset, count)

    def next(self, entry: ExtentState) -> ExtentState | None:
        """See ExtentIndex."""
        self.tally.note("next")
        return self.inner.next(entry)

    def prev(self, entry: ExtentState) -> ExtentState | None:
        """See ExtentIndex."""
        self.tally.note("prev")
        return self.inner.prev(entry)

    def erase(self, entry: ExtentState) -> None:
        """See ExtentIndex."""
        self.tally.note("erase")
        self.inner.erase(entry)

    def delete(self, end: int) -> ExtentState | None:
        """See ExtentIndex."""
        self.tally.note("erase")
        return self.inner.delete(end)

    def memory(self) -> Memory:
        """See ExtentIndex."""
        return self.inner.memory()

    def validate(self) -> None:
        """See ExtentIndex."""
        self.inner.validate()
