# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of counters whose first greatest is found at once: stands for going over all zones of a device.

Each row is a binary tree in an array: the root is at 1, below n are 2n and 2n + 1, and each holds the greater
of the two below it. The counters are the second half.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.readahead.scale.jit import compiled_part

__all__ = ["counter", "first_greatest", "make_maxima", "set_counter"]


def make_maxima(rows: int, size: int) -> NDArray[np.int32]:
    """Return `rows` rows of `size` counters, all 0."""
    return np.zeros((rows, 2 << max(0, size - 1).bit_length()), np.int32)


@compiled_part
def counter(maxima: NDArray[np.int32], row: int, index: int) -> int:
    """Return a counter."""
    return int(maxima[row, maxima.shape[1] // 2 + index])


@compiled_part
def set_counter(maxima: NDArray[np.int32], row: int, index: int, value: int) -> None:
    """Set a counter to `value`, 0 or more."""
    place = maxima.shape[1] // 2 + index
    maxima[row, place] = value
    while place > 1:
        place >>= 1
        greater = max(maxima[row, 2 * place], maxima[row, 2 * place + 1])
        if maxima[row, place] == greater:
            return
        maxima[row, place] = greater


@compiled_part
def first_greatest(maxima: NDArray[np.int32], row: int) -> int:
    """Return the index of the greatest counter, the first if there are several; -1 if all are 0."""
    if maxima[row, 1] == 0:
        return -1
    place = 1
    half = maxima.shape[1] // 2
    while place < half:
        place *= 2
        if maxima[row, place] < maxima[row, place + 1]:
            place += 1
    return int(place - half)
