# SPDX-License-Identifier: GPL-2.0-or-later
"""What the sides found: cases whose verdicts differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.verdicts import Verdict, worst
from reports.compare.sides import Side
from reports.run import CaseResult

__all__ = ["CaseRow", "Change", "Outcome", "case_rows"]


class Change(StrEnum):
    """What became of a case."""

    NEW_FAILURE = "new failure"
    FIXED = "fixed"
    STILL_FAILS = "still fails"
    LESS_KNOWN = "no longer decided"
    OTHER = "other verdict"
    ONLY_SOME = "not on all sides"
    SAME = "same"


@dataclass(frozen=True)
class Outcome:
    """A case on a side."""

    verdict: Verdict
    runs: int
    failed: int
    first_difference: str
    """In one line; empty if there is none."""

    @property
    def told(self) -> str:
        """Such as `FAIL` or, repeated, `FAIL 2/20`."""
        if self.runs == 1 or not self.failed:
            return str(self.verdict)
        return f"{self.verdict} {self.failed}/{self.runs}"


@dataclass(frozen=True)
class CaseRow:
    """A case on all sides."""

    case: str
    outcomes: tuple[Outcome | None, ...]
    """None where it was not run."""
    change: Change
    """The gravest of what became of it since the first side."""


def case_rows(sides: Sequence[Side]) -> list[CaseRow]:
    """Return every case of any side, the gravest change first."""
    by_side = [side.by_case() for side in sides]
    names = dict.fromkeys(name for found in by_side for name in found)
    rows = [_row(name, [_outcome(found.get(name, [])) for found in by_side]) for name in names]
    order = list(Change)
    return sorted(rows, key=lambda row: order.index(row.change))


def _outcome(results: Sequence[CaseResult]) -> Outcome | None:
    if not results:
        return None
    verdict = worst(result.verdict.verdict for result in results)
    failed = [result for result in results if result.verdict.verdict is Verdict.FAIL]
    first = next(
        (
            f"{check.name}: {check.first_difference.summary}"
            for result in failed
            for check in result.verdict.checks
            if check.first_difference
        ),
        "",
    )
    return Outcome(verdict, len(results), len(failed), first)


def _row(name: str, outcomes: Sequence[Outcome | None]) -> CaseRow:
    before = outcomes[0]
    changes = [_change(before, after) for after in outcomes[1:]]
    return CaseRow(name, tuple(outcomes), min(changes, key=list(Change).index))


def _change(before: Outcome | None, after: Outcome | None) -> Change:
    if before is None or after is None or Verdict.SKIP in (before.verdict, after.verdict):
        same = before and after and before.verdict == after.verdict
        # A failure that is there on one side only is news, whether or not the other side could run it.
        failed = after is not None and after.verdict is Verdict.FAIL
        return Change.SAME if same else Change.NEW_FAILURE if failed else Change.ONLY_SOME
    if after.verdict is Verdict.FAIL:
        return Change.STILL_FAILS if before.verdict is Verdict.FAIL else Change.NEW_FAILURE
    if before.verdict is Verdict.FAIL:
        return Change.FIXED if after.verdict is Verdict.PASS else Change.LESS_KNOWN
    if before.verdict is after.verdict:
        return Change.SAME
    return Change.LESS_KNOWN if after.verdict is Verdict.UNDECIDED else Change.OTHER
