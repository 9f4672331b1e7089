# SPDX-License-Identifier: GPL-2.0-or-later
"""What makes anything smaller that goes wrong: sequences, by leaving out; numbers, by halves and steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["fewer", "smaller"]

Item = TypeVar("Item")


def fewer(items: Sequence[Item], still: Callable[[list[Item]], bool]) -> list[Item]:
    """Leave out halves, quarters, ..., single items for as long as what is left `still` goes wrong.

    From the end, as later ones need earlier ones.

    >>> fewer("abcdef", lambda left: "b" in left and "e" in left)
    ['b', 'e']
    """
    left = list(items)
    width = len(left)
    while width:
        end = len(left)
        while end > 0:
            shorter = left[: max(0, end - width)] + left[end:]
            if still(shorter):
                left = shorter
            end -= width
        width //= 2
    return left


def smaller(number: int, unit: int, block: int) -> list[int]:
    """Return numbers below `number`, the smallest first; multiples of `unit` if it is one.

    >>> smaller(40, 4, 16)
    [0, 4, 20, 32, 36]
    """
    unit = 1 if number % unit else unit
    # Halves, then ever smaller steps: linear ones would use up the tries.
    steps = [max(unit, (number >> shift) // unit * unit) for shift in range(1, number.bit_length() + 1)]
    candidates = {0, unit, number // block * block, *(number - step for step in steps)}
    return sorted(one for one in candidates if 0 <= one < number)
