# SPDX-License-Identifier: GPL-2.0-or-later
"""From figures to conclusions. Thresholds are fixed here, before anything is measured."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence

from harness.claims import Conclusion, Fact
from suites.claims.stats import Interval

__all__ = ["MUCH", "all_of", "by_interval", "by_ratios", "happens", "holds", "overall", "within"]

MUCH = 2.0
""""Much" and "many": by this factor or more. The thread gives no figure."""


def by_ratios(what: str, ratios: Sequence[float], factor: float = MUCH) -> Fact:
    """One exact ratio for each workload: reproduced if the median reaches `factor` and all exceed 1.

    Partly if the median exceeds 1; else not.
    """
    if not ratios:
        return Fact(what, "no workload", Conclusion.UNTESTABLE)
    median, least, most = statistics.median(ratios), min(ratios), max(ratios)
    value = f"median {median:.2f}, from {least:.2f} to {most:.2f}, in {len(ratios)} workloads"
    if median >= factor and least > 1:
        return Fact(what, value, Conclusion.REPRODUCED)
    return Fact(what, value, Conclusion.PARTLY if median > 1 else Conclusion.NOT)


def by_interval(what: str, ratio: Interval, factor: float = MUCH) -> Fact:
    """A measured ratio: reproduced if its whole interval reaches `factor`, partly if it exceeds 1.

    Not if it lies at 1 or below; an interval around 1 is too wide to tell.
    """
    if ratio.low >= factor:
        conclusion = Conclusion.REPRODUCED
    elif ratio.low > 1:
        conclusion = Conclusion.PARTLY
    elif ratio.high <= 1:
        conclusion = Conclusion.NOT
    else:
        conclusion = Conclusion.UNTESTABLE
    return Fact(what, f"{ratio} (95 % bootstrap interval)", conclusion)


def holds(what: str, count: int, wrong: int) -> Fact:
    """Something is to be so each time: reproduced if it never is not, else not; untestable without a case."""
    if not count:
        return Fact(what, "nothing was compared", Conclusion.UNTESTABLE)
    value = f"{wrong:,} of {count:,} differ"
    return Fact(what, value, Conclusion.NOT if wrong else Conclusion.REPRODUCED)


def happens(what: str, count: int, happened: int) -> Fact:
    """Something is said to happen: reproduced if it ever does, else not; untestable without a try."""
    if not count:
        return Fact(what, "nothing was tried", Conclusion.UNTESTABLE)
    value = f"{happened:,} of {count:,}"
    return Fact(what, value, Conclusion.REPRODUCED if happened else Conclusion.NOT)


def within(what: str, measured: Interval | None, least: float, most: float, missing: str) -> Fact:
    """A figure is to lie in [least, most]: reproduced if its interval does, partly if they overlap.

    Without a figure untestable, for the reason `missing`.
    """
    if measured is None:
        return Fact(what, missing, Conclusion.UNTESTABLE)
    if least <= measured.low and measured.high <= most:
        return Fact(what, str(measured), Conclusion.REPRODUCED)
    overlap = measured.low <= most and least <= measured.high
    return Fact(what, str(measured), Conclusion.PARTLY if overlap else Conclusion.NOT)


def all_of(what: str, value: str, each: Collection[bool]) -> Fact:
    """Some comparisons: reproduced if all hold, partly if some do, else not."""
    if not each:
        return Fact(what, "nothing was compared", Conclusion.UNTESTABLE)
    if all(each):
        return Fact(what, value, Conclusion.REPRODUCED)
    return Fact(what, value, Conclusion.PARTLY if any(each) else Conclusion.NOT)


def overall(facts: Sequence[Fact]) -> Conclusion:
    """Return what all facts have in common; partly where they differ, untestable counting as a difference."""
    found = {fact.conclusion for fact in facts}
    if not found:
        return Conclusion.UNTESTABLE
    return found.pop() if len(found) == 1 else Conclusion.PARTLY
