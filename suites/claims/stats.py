# SPDX-License-Identifier: GPL-2.0-or-later
"""Measuring side by side, and how sure a ratio is."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Interval", "bootstrap", "in_turns", "process_seconds"]

_RESAMPLES = 2000
_SEED = 20070724


@dataclass(frozen=True)
class Interval:
    """A median, and between what it lies with 95 % confidence."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it as text.

        >>> str(Interval(2.5, 2.25, 3.0))
        '2.50 [2.25, 3.00]'
        """
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def bootstrap(values: Sequence[float]) -> Interval:
    """Return the median with its percentile bootstrap interval; the same for the same values.

    >>> bootstrap([2.0] * 5)
    Interval(median=2.0, low=2.0, high=2.0)
    """
    rng = random.Random(_SEED)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    tail = round(0.025 * _RESAMPLES)
    return Interval(statistics.median(values), medians[tail], medians[-tail - 1])


def in_turns(ways: Mapping[str, Callable[[], float]], repetitions: int) -> dict[str, list[float]]:
    """Measure every way once to warm up, then `repetitions` times, A B C then C B A."""
    for way in ways.values():
        way()
    measured: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for _ in range(repetitions):
        for name in order:
            measured[name].append(ways[name]())
        order.reverse()
    return measured


def process_seconds(run: Callable[[], object]) -> float:
    """Return the CPU time that `run` takes, s, without garbage collection."""
    gc.collect()
    gc.disable()
    begun = time.process_time()
    run()
    spent = time.process_time() - begun
    gc.enable()
    return spent
