# SPDX-License-Identifier: GPL-2.0-or-later
"""Shuffled numbers without a table: place and number can be computed from one another."""

from __future__ import annotations

__all__ = ["Permutation", "scramble"]

_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xBF58476D1CE4E5B9)
"""Odd numbers without structure: from the golden ratio, its generalisation, and SplitMix64."""
_U64 = 2**64 - 1


def scramble(number: int, seed: int) -> int:
    """Return 64 bits that look random (the finaliser of SplitMix64)."""
    mixed = (number * _MULTIPLIERS[0] + seed * _MULTIPLIERS[1]) & _U64
    mixed = (mixed ^ mixed >> 30) * _MULTIPLIERS[2] & _U64
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _U64
    return mixed ^ mixed >> 31


class Permutation:
    """Of 0 to `size` - 1, deterministic by `seed`.

    Bits are mixed by steps that can each be undone, on as many bits as `size` needs; what falls behind `size`
    is mixed again until it does not (cycle walking).

    >>> shuffled = Permutation(10, seed=1)
    >>> sorted(shuffled.place(number) for number in range(10)) == list(range(10))
    True
    >>> [shuffled.number(shuffled.place(number)) for number in range(10)]
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """

    __slots__ = ("_added", "_mask", "_shift", "_steps", "_undoing", "size")

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        bits = max(2, (size - 1).bit_length())
        self._mask = (1 << bits) - 1
        # Half of the bits or more, so that doing it twice undoes it.
        self._shift = (bits + 1) // 2
        self._added = scramble(1, seed) & self._mask
        self._steps = tuple((scramble(step, seed) | 1) & self._mask for step in (2, 3, 4))
        self._undoing = tuple(pow(step, -1, self._mask + 1) for step in reversed(self._steps))

    def place(self, number: int) -> int:
        """Return where `number` is."""
        mask, shift = self._mask, self._shift
        while True:
            number = (number + self._added) & mask
            for step in self._steps:
                number = number * step & mask
                number ^= number >> shift
            if number < self.size:
                return number

    def number(self, place: int) -> int:
        """Return what is at `place`."""
        mask, shift = self._mask, self._shift
        while True:
            for step in self._undoing:
                place ^= place >> shift
                place = place * step & mask
            place = (place - self._added) & mask
            if place < self.size:
                return place
