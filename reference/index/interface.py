# SPDX-License-Identifier: GPL-2.0-or-later
"""What every ordered index of extents can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

from reference.index.work import Memory, Work
from reference.rbtree import Extent

__all__ = ["ExtentIndex"]

E = TypeVar("E", bound=Extent)


class ExtentIndex(Protocol[E]):
    """Entries in order of their `end`, of which no two are equal and which is in [0, U64_MAX].

    `start` of an entry in the index may change in place, and means nothing to the index; `end` must not.
    """

    __slots__ = ()

    work: Work
    """What was done; zero unless the class is one that counts."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[E]: ...

    def insert(self, entry: E) -> E | None:
        """Add `entry`; or return the entry that has its `end` already, and change nothing (-EEXIST)."""

    def insert_before(self, entry: E, following: E) -> E | None:  # noqa: ARG002
        """Add `entry` as `insert` does, with as much work; `following` is likely to stand behind it."""
        return self.insert(entry)

    def lookup(self, end: int) -> E | None:
        """Return the entry that ends at `end` (bytes), or None."""

    def search(self, offset: int) -> E | None:
        """Return the first entry that ends at or after `offset` (bytes), or None."""

    def gang_lookup(self, offset: int, count: int) -> list[E]:
        """Return the first `count` entries that end at or after `offset` (bytes), fewer at the end."""
        found: list[E] = []
        entry = self.search(offset) if count > 0 else None
        while entry is not None:
            found.append(entry)
            entry = self.next(entry) if len(found) < count else None
        return found

    def next(self, entry: E) -> E | None:
        """Return the entry after `entry`, which must be in the index, or None."""

    def prev(self, entry: E) -> E | None:
        """Return the entry before `entry`, which must be in the index, or None."""

    def erase(self, entry: E) -> None:
        """Remove `entry`, which must be in the index."""

    def delete(self, end: int) -> E | None:
        """Remove the entry that ends at `end` (bytes) and return it, or None."""
        entry = self.lookup(end)
        if entry is not None:
            self.erase(entry)
        return entry

    def memory(self) -> Memory:
        """Return what the index occupies besides its entries."""

    def validate(self) -> None:
        """Raise InvariantError if the index breaks an invariant."""
