# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds, in a row of kernels, the first that differs from those before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from harness.errors import UserError

__all__ = ["Answer", "Found", "first_bad"]

K = TypeVar("K")


class Answer(Enum):
    """What a test said of a kernel."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True)
class Found(Generic[K]):
    """Where the row turns bad: between these two, and those in between of which nothing can be told."""

    last_good: K
    first_bad: K
    unknown: tuple[K, ...]


def first_bad(row: Sequence[K], test: Callable[[K], Answer], named: Callable[[K], str] = str) -> Found[K]:
    """Search in halves, as `git bisect` does. Both ends are tested first, and each kernel once at most.

    Where nothing can be told of one, its neighbours are asked. Raises UserError if the ends are not good and
    bad.
    """
    if len(row) < 2:
        raise UserError("give two kernels at least, the good one first")
    for place, wanted in ((0, Answer.GOOD), (len(row) - 1, Answer.BAD)):
        if (answer := test(row[place])) is not wanted:
            raise UserError(f"{named(row[place])} is to be {wanted.value}, and is not: {answer.value}")
    good, bad = 0, len(row) - 1
    unknown: set[int] = set()
    while left := [place for place in range(good + 1, bad) if place not in unknown]:
        middle = min(left, key=lambda place: abs(2 * place - good - bad))
        match test(row[middle]):
            case Answer.GOOD:
                good = middle
            case Answer.BAD:
                bad = middle
            case Answer.UNKNOWN:
                unknown.add(middle)
    return Found(row[good], row[bad], tuple(row[place] for place in range(good + 1, bad)))
