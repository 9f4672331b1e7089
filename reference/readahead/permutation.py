# SPDX-License-Identifier: GPL-2.0-or-later
"""Shuffled numbers without a table: place and number can be computed from one another."""

from __future__ import annotations

__all__ = ["MULTIPLIERS", "Permutation", "scramble"]

MULTIPLIERS = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Odd numbers without structure: from the golden ratio, its generalisation, and two of SplitMix64."""
_U64 = 2**64 - 1


def scramble(number: int, seed: int) -> int:
    """Return 64 bits that look random (the finaliser of SplitMix64)."""
    mixed = (number * MULTIPLIERS[0] + seed * MULTIPLIERS[1]) & _U64
    mixed = (mixed ^ mixed >> 30) * MULTIPLIERS[2] & _U64
    mixed = (mixed ^ mixed >> 27) * MULTIPLIERS[3] & _U64
    return mixed ^ mixed >> 31


class Permutation:
    """Of 0 to `size` - 1, deterministic by `seed`.

    Bits are mixed by steps that can each be undone, on as many bits as `size` needs; what falls behind `size`
    is mixed again until it does not (cycle walking). `steps` are the factors, `shift` is how far each product
    is shifted.

    >>> shuffled = Permutation(10, seed=1)
    >>> sorted(shuffled.place(number) for number in range(10)) == list(range(10))
    True
    >>> [shuffled.number(shuffled.place(number)) for number in range(10)]
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """

    __slots__ = ("_undoing", "added", "mask", "shift", "size", "steps")

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        bits = max(2, (size - 1).bit_length())
        self.mask = (1 << bits) - 1
        # Half of the bits or more, so that doing it twice undoes it.
        self.shift = (bits + 1) // 2
        self.added = scramble(1, seed) & self.mask
        self.steps = tuple((scramble(step, seed) | 1) & self.mask for step in (2, 3, 4))
        self._undoing = tuple(pow(step, -1, self.mask + 1) for step in reversed(self.steps))

    def place(self, number: int) -> int:
        """Return where `number` is."""
        mask, shift = self.mask, self.shift
        while True:
            number = (number + self.added) & mask
            for step in self.steps:
                number = number * step & mask
                number ^= number >> shift
            if number < self.size:
                return number

    def number(self, place: int) -> int:
        """Return what is at `place`."""
        mask, shift = self.mask, self.shift
        while True:
            for step in self._undoing:
                place ^= place >> shift
                place = place * step & mask
            place = (place - self.added) & mask
            if place < self.size:
                return place
