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

    def is_aligned(self, unit: int) -> bool:
        """Whether what is left begins at multiples of `unit`, empty vectors too (`iov_iter_is_aligned`)."""
        left, inside = self.count, self._inside
        for base, length in self.vectors[self._vector :]:
            if not left:
                break
            if (base + inside) % unit:
                return False
            left -= length - inside
            inside = 0
        return True

    def next_is_aligned(self, unit: int) -> bool:
        """Whether the vector that comes next, empty or not, begins at such a multiple (`iter_iov_addr`)."""
        return not (self.vectors[self._vector].iov_base + self._inside) % unit

    def copy(self, data: memoryview) -> None:
        """Write `data`, and go on behind it, and behind empty vectors (`iov_iter_advance`)."""
        place = 0
        while place < len(data):
            address, room = self._here()
            part = data[place : place + room]
            self.writes.append((address, part))
            self._advance(len(part))
            place += len(part)
        self._skip_empty()

    def zero(self, length: int) -> None:
        """Write zeros, and go on behind them (`iov_iter_zero`)."""
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
        self._skip_empty()
        base, length = self.vectors[self._vector]
        return base + self._inside, length - self._inside

    def _advance(self, length: int) -> None:
        self._inside += length
        self._done += length
        if self._inside == self.vectors[self._vector].iov_len:
            self._vector += 1
            self._inside = 0

    def _skip_empty(self) -> None:
        while self._vector < len(self.vectors) and self._inside == self.vectors[self._vector].iov_len:
            self._vector += 1
            self._inside = 0
