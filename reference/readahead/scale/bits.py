# SPDX-License-Identifier: GPL-2.0-or-later
"""Sets of numbers in which the next one is found at once: stands for the radix trees of extents.

A bit for each number, above each 64 of them a bit that says whether any is set, and so on up to one word.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.readahead.scale.jit import compiled_part

__all__ = ["Bits", "clear_bit", "make_bits", "next_bit", "set_bit"]


class Bits(NamedTuple):
    """Several sets, a row each."""

    words: NDArray[np.int64]
    """Row, then all words of the lowest level, of the one above it, and so on."""
    first: NDArray[np.int64]
    """Where each level's words begin; behind the last, how many words there are."""


def make_bits(rows: int, size: int) -> Bits:
    """Return `rows` empty sets of numbers below `size`."""
    levels = [max(1, -(-size // 64))]
    while levels[-1] > 1:
        levels.append(-(-levels[-1] // 64))
    first = np.cumsum([0, *levels], dtype=np.int64)
    return Bits(np.zeros((rows, int(first[-1])), np.int64), first)


_DE_BRUIJN = 0x03F79D71B4CB0A89
"""Each run of 6 of its bits is another number, so a shifted copy tells by how much it was shifted."""
_POSITION = np.zeros(64, np.int64)
for _shift in range(64):
    _POSITION[((_DE_BRUIJN << _shift) & (2**64 - 1)) >> 58] = _shift


@compiled_part
def _lowest(word: int) -> int:
    """Return the position of the lowest bit of `word`, which is not 0."""
    return int(_POSITION[(((word & -word) * _DE_BRUIJN) >> 58) & 63])


@compiled_part
def set_bit(bits: Bits, row: int, number: int) -> None:
    """Put `number` into the set of `row`."""
    for level in range(len(bits.first) - 1):
        word = bits.first[level] + (number >> 6)
        before = bits.words[row, word]
        bits.words[row, word] = before | (1 << (number & 63))
        if before:
            return
        number >>= 6


@compiled_part
def clear_bit(bits: Bits, row: int, number: int) -> None:
    """Take `number` out of the set of `row`."""
    for level in range(len(bits.first) - 1):
        word = bits.first[level] + (number >> 6)
        bits.words[row, word] &= ~(1 << (number & 63))
        if bits.words[row, word]:
            return
        number >>= 6


@compiled_part
def next_bit(bits: Bits, row: int, number: int) -> int:
    """Return the least of the set of `row` that is `number` or greater; -1 if there is none."""
    level = 0
    top = len(bits.first) - 1
    while level < top:
        word = bits.first[level] + (number >> 6)
        if word >= bits.first[level + 1]:
            return -1
        # An arithmetic shift fills in ones only above the topmost bit, and only if that is set.
        rest = bits.words[row, word] >> (number & 63)
        if rest:
            number += _lowest(rest)
            break
        number = (number >> 6) + 1
        level += 1
    if level == top:
        return -1
    while level:
        level -= 1
        number = (number << 6) + _lowest(bits.words[row, bits.first[level] + number])
    return number
