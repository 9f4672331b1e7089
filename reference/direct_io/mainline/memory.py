# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory that a read is for (lib/iov_iter.c)."""

from __future__ import annotations

from collections.abc import Sequence

from reference.direct_io.source import IoVec

__all__ = ["IovIter"]


class IovIter:
    """`struct iov_iter` over user memory; what is written is noted."""

    def __init__(self, vectors: Sequence[IoVec]) -> None:
        self.vectors = tuple(vectors)
        self.writes: list[tuple[int, memoryview | int]] = []
        """In order: an address, and the bytes that go there or how many zeros."""
        self._length = sum(length for _, length in vectors)
        self._vector = 0
        self._inside = 0
        self._done = 0

    @property
    def count(self) -> int:
        """Bytes that are left (`iov_iter_count`)."""
        return self._length - self._done

    def alignment(self) -> int:
        """Return all bases and lengths, ored; empty vectors do not count (`iov_iter_alignment`)."""
        ored = 0
        for base, length in self.vectors:
            if length:
                ored |= base | length
        return ored

    def copy(self, data: memoryview) -> None:
        """Write `data`, and go on behind it (`copy_to_iter`)."""
        place = 0
        while place < len(data):
            address, room = self._here()
            part = data[place : place + room]
            self.writes.append((address, part))
            self._advance(len(part))
            place += len(part)

    def zero(self, length: int) -> None:
        """Write zeros (`iov_iter_zero`)."""
        while length:
            address, room = self._here()
            part = min(room, length)
            self.writes.append((address, part))
            self._advance(part)
            length -= part

    def revert(self, length: int) -> None:
        """Go back (`iov_iter_revert`)."""
        self._vector = self._inside = 0
        left, self._done = self._done - length, 0
        while left:
            _, room = self._here()
            part = min(room, left)
            self._advance(part)
            left -= part

    def _here(self) -> tuple[int, int]:
        """Return the address to write to next, and how much room is there."""
        while self._inside == self.vectors[self._vector].iov_len:
            self._vector += 1
            self._inside = 0
        base, length = self.vectors[self._vector]
        return base + self._inside, length - self._inside

    def _advance(self, length: int) -> None:
        self._inside += length
        self._done += length
