# SPDX-License-Identifier: GPL-2.0-or-later
"""What a few repetitions tell of a figure, and whether two sides differ in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

__all__ = ["CONFIDENCE", "Sample", "adjusted", "ratio", "welch"]

CONFIDENCE = 0.95
FEWEST = 3
"""Of fewer repetitions nothing is said but their values."""


@dataclass(frozen=True)
class Sample:
    """The values of a figure, one a repetition."""

    values: tuple[float, ...]

    @property
    def amean(self) -> float:
        """Arithmetic mean."""
        return float(np.mean(self.values))

    @property
    def hmean(self) -> float:
        """Harmonic mean, which rates want; 0 if there is a 0."""
        return float(stats.hmean(self.values)) if min(self.values) > 0 else 0.0

    @property
    def coeff_var(self) -> float | None:
        """Standard deviation over mean, %; None for a single value."""
        if len(self.values) < 2 or not self.amean:
            return None
        return 100 * float(np.std(self.values, ddof=1)) / self.amean


@dataclass(frozen=True)
class Ratio:
    """By what a figure was multiplied, with its confidence interval; None where repetitions are too few."""

    ratio: float
    low: float | None
    high: float | None


def ratio(before: Sample, after: Sample) -> Ratio | None:
    """Return the ratio of geometric means; None if a value is not above 0.

    The interval is that of Welch's test on logarithms: rates and times are skewed, and multiplied rather
    than added to.
    """
    if min(*before.values, *after.values) <= 0:
        return None
    logs = [np.log(sample.values) for sample in (before, after)]
    middle = float(logs[1].mean() - logs[0].mean())
    if not _enough(before, after):
        return Ratio(math.exp(middle), None, None)
    if _constant(before, after):
        return Ratio(math.exp(middle), math.exp(middle), math.exp(middle))
    interval = stats.ttest_ind(logs[1], logs[0], equal_var=False).confidence_interval(CONFIDENCE)
    return Ratio(math.exp(middle), math.exp(interval.low), math.exp(interval.high))


def welch(before: Sample, after: Sample) -> float | None:
    """Return how likely the sides differ so much by chance alone (Welch's test on logarithms).

    None where repetitions are too few to say, or a value is not above 0.
    """
    if not _enough(before, after) or min(*before.values, *after.values) <= 0:
        return None
    if _constant(before, after):
        return 1.0 if before.values[0] == after.values[0] else 0.0
    return float(stats.ttest_ind(np.log(after.values), np.log(before.values), equal_var=False).pvalue)


def adjusted(values: Sequence[float | None]) -> list[float | None]:
    """Return the probabilities, raised for how many there are (Holm): of many, some are small by chance.

    >>> adjusted([0.01, None, 0.04, 0.5])
    [0.03, None, 0.08, 0.5]
    """
    known = sorted((value, number) for number, value in enumerate(values) if value is not None)
    found: list[float | None] = [None] * len(values)
    least = 0.0
    for place, (value, number) in enumerate(known):
        least = max(least, min(1.0, value * (len(known) - place)))
        found[number] = least
    return found


def _enough(*samples: Sample) -> bool:
    return all(len(sample.values) >= FEWEST for sample in samples)


def _constant(*samples: Sample) -> bool:
    return all(len(set(sample.values)) == 1 for sample in samples)
