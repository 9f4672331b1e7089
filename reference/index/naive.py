# SPDX-License-Identifier: GPL-2.0-or-later
"""An index as a sorted list, nothing else: what the trees are held against."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from operator import attrgetter
from typing import TypeVar

from reference.index.interface import ExtentIndex
from reference.index.invariants import check_entries
from reference.index.work import Memory, Work
from reference.rbtree import Extent

__all__ = ["NaiveIndex"]

E = TypeVar("E", bound=Extent)


class NaiveIndex(ExtentIndex[E]):
    """Entries in a list. It counts nothing, and its memory is that of an array of pointers."""

    def __init__(self) -> None:
        self.entries: list[E] = []
        self.work = Work()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[E]:
        return iter(self.entries)

    def insert(self, entry: E) -> E | None:
        """Add `entry`; or return the entry that has its `end` already."""
        present = self.lookup(entry.end)
        if present is None:
            self.entries.insert(self._first(entry.end), entry)
        return present

    def lookup(self, end: int) -> E | None:
        """Return the entry that ends at `end`, or None."""
        found = self.search(end)
        return found if found is not None and found.end == end else None

    def search(self, offset: int) -> E | None:
        """Return the first entry that ends at or after `offset`, or None."""
        found = self.gang_lookup(offset, 1)
        return found[0] if found else None

    def gang_lookup(self, offset: int, count: int) -> list[E]:
        """Return the first `count` entries that end at or after `offset`."""
        at = self._first(offset)
        return self.entries[at : at + count]

    def next(self, entry: E) -> E | None:
        """Return the entry after `entry`, or None."""
        return self.search(entry.end + 1)

    def prev(self, entry: E) -> E | None:
        """Return the entry before `entry`, or None."""
        at = self._first(entry.end)
        return self.entries[at - 1] if at else None

    def erase(self, entry: E) -> None:
        """Remove `entry`."""
        self.entries.remove(entry)

    def memory(self) -> Memory:
        """Return the size of the array."""
        return Memory(1, 8 * len(self.entries), 0, len(self.entries), 0)

    def validate(self) -> None:
        """Raise InvariantError if the entries are not in order."""
        check_entries(self.entries, len(self.entries))

    def _first(self, offset: int) -> int:
        return bisect_left(self.entries, offset, key=attrgetter("end"))
