# SPDX-License-Identifier: GPL-2.0-or-later
"""How often a case fails, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scipy import stats

from harness.verdicts import Verdict

__all__ = ["Rate", "failure_rate"]


@dataclass(frozen=True)
class Rate:
    """Failures out of runs that decided, and between what the rate lies with 95 % confidence (Wilson)."""

    failed: int
    decided: int
    undecided: int
    low: float
    high: float

    @property
    def flaky(self) -> bool:
        """Whether it sometimes failed, and sometimes not."""
        return 0 < self.failed < self.decided

    def __str__(self) -> str:
        """Such as `2 of 20 (2.8-30.1 %)`."""
        return f"{self.failed} of {self.decided} ({100 * self.low:.1f}-{100 * self.high:.1f} %)"


def failure_rate(verdicts: Iterable[str]) -> Rate:
    """Return how often FAIL was the verdict; what was skipped or left undecided decides nothing.

    >>> str(failure_rate(["PASS"] * 18 + ["FAIL"] * 2 + ["SKIP"]))
    '2 of 20 (2.8-30.1 %)'
    """
    listed = list(verdicts)
    failed, undecided = listed.count(Verdict.FAIL), listed.count(Verdict.UNDECIDED)
    decided = failed + listed.count(Verdict.PASS)
    if not decided:
        return Rate(0, 0, undecided, 0.0, 1.0)
    interval = stats.binomtest(failed, decided).proportion_ci(0.95, method="wilson")
    return Rate(failed, decided, undecided, float(interval.low), float(interval.high))
