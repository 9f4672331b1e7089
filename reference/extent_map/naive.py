# SPDX-License-Identifier: GPL-2.0-or-later
"""Two slow models that the trees are tested against, byte by byte. They share no code with them.

Offsets may be near 0 or near 2^64-1. What lies between the two is one cell: a range has all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["NaiveMaps", "NaiveStates"]

END = 2**64


class _Cells:
    """Numbers the bytes of [0, size) and [2^64 - size, 2^64), with all between them as number `size`."""

    def __init__(self, size: int) -> None:
        self.size = size

    def of(self, start: int, end: int) -> range:
        """Return the numbers of the bytes from `start` to `end`, inclusive."""
        return range(self._number(start), self._number(end) + 1)

    def first_byte(self, number: int) -> int:
        """Return the first offset of a cell."""
        return number if number <= self.size else END - (2 * self.size + 1 - number)

    def last_byte(self, number: int) -> int:
        """Return the last offset of a cell."""
        return END - self.size - 1 if number == self.size else self.first_byte(number)

    def _number(self, offset: int) -> int:
        if offset < self.size:
            return offset
        return max(self.size, 2 * self.size + 1 - (END - offset))


# What becomes of every value of a byte's bits, for bytes.translate.
_SET = [bytes(value | bits for value in range(256)) for bits in range(32)]
_CLEAR = [bytes(value & ~bits for value in range(256)) for bits in range(32)]
_HAS = [bytes(bool(value & bits) for value in range(256)) for bits in range(32)]


class NaiveStates:
    """The bits of every byte of the file, one element each; 0 where there is no state."""

    def __init__(self, size: int) -> None:
        self.cells = _Cells(size)
        self.bits = bytearray(2 * size + 1)

    def set(self, start: int, end: int, bits: int, exclusive: bool) -> int | None:
        """Set `bits`, if `exclusive` up to the first byte that has one of them; return its offset."""
        cells = self.cells.of(start, end)
        first, behind = cells.start, cells.stop
        met = self._has(cells, bits).find(1) if exclusive else -1
        if met >= 0:
            behind = first + met
        self.bits[first:behind] = self.bits[first:behind].translate(_SET[bits])
        return self.cells.first_byte(behind) if met >= 0 else None

    def clear(self, start: int, end: int, bits: int, delete: bool) -> int:
        """Clear `bits`, or all with `delete`; return those of `bits` that were set on some byte."""
        cells = self.cells.of(start, end)
        before = self.bits[cells.start : cells.stop]
        self.bits[cells.start : cells.stop] = bytes(len(before)) if delete else before.translate(_CLEAR[bits])
        found = 0
        for value in set(before):
            found |= value & bits
        return found

    def test(self, start: int, end: int, bits: int, filled: bool) -> bool:
        """Tell whether some byte has one of `bits`; with `filled`, whether each has."""
        has = self._has(self.cells.of(start, end), bits)
        return 0 not in has if filled else 1 in has

    def _has(self, cells: range, bits: int) -> bytearray:
        return self.bits[cells.start : cells.stop].translate(_HAS[bits])

    def rows(self) -> list[tuple[int, int, int]]:
        """Return (start, end, bits) of the longest ranges of equal bytes that have bits, in order."""
        rows: list[tuple[int, int, int]] = []
        first = 0
        for cell, bits in enumerate(self.bits):
            if cell + 1 < len(self.bits) and self.bits[cell + 1] == bits:
                continue
            if bits:
                rows.append((self.cells.first_byte(first), self.cells.last_byte(cell), bits))
            first = cell + 1
        return rows


Place = tuple[int, object]
"""Where a byte is: its offset on disk, 0 in a hole, and the device."""


class NaiveMaps:
    """Where every byte is, in a dict; bytes that are not in it are not mapped."""

    def __init__(self) -> None:
        self.places: dict[int, Place] = {}

    def add(self, start: int, end: int, block_start: int, bdev: object) -> bool:
        """Map [start, end] to `block_start` and on, or as a hole (0); False if a byte is mapped already."""
        offsets = range(start, end + 1)
        if any(offset in self.places for offset in offsets):
            return False
        for offset in offsets:
            self.places[offset] = (block_start + offset - start if block_start else 0, bdev)
        return True

    def remove(self, offsets: Iterable[int]) -> None:
        """Forget where `offsets` are."""
        for offset in offsets:
            del self.places[offset]
