# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run adds up to, and the plain sentences that say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from harness.verdicts import Check, Verdict, worst
from reports.run import Run
from reports.text import count, mapping, plural
from reports.timeline import Mark

__all__ = ["LIMITS", "CheckTotal", "Totals", "add_up", "conclusion"]

LIMITS = (
    "It speaks for this kernel build, these workloads and these seeds only. Code that the cases did not "
    "reach was not compared, and agreement with a model cannot show a mistake that the model shares."
)
"""What no run proves."""


@dataclass(frozen=True)
class CheckTotal:
    """One check over all cases that have it."""

    name: str
    cases: int
    compared: int
    wrong: int
    verdict: Verdict
    by_model: bool


@dataclass(frozen=True)
class Totals:
    """Sums over a run."""

    verdicts: dict[Verdict, int]
    """Cases by verdict, the gravest first; only verdicts that occur."""
    events: int
    lost: int
    lost_reasons: dict[str, int]
    """Events lost by counter, as the capture counted them; counters at zero are kept."""
    checks: tuple[CheckTotal, ...]
    largest: tuple[str, Mark] | None
    """Case and checkpoint with the most live states."""

    @property
    def compared(self) -> int:
        """Things held against the model."""
        return sum(check.compared for check in self.checks if check.by_model)

    @property
    def wrong(self) -> int:
        """Things that differ from the model."""
        return sum(check.wrong for check in self.checks)

    @property
    def cases_in_words(self) -> str:
        """Such as `1 FAIL, 12 PASS`."""
        return ", ".join(f"{number} {verdict}" for verdict, number in self.verdicts.items()) or "none"


def add_up(run: Run) -> Totals:
    """Add up the cases of a run."""
    verdicts = Counter(case.verdict.verdict for case in run.cases)
    return Totals(
        verdicts={verdict: verdicts[verdict] for verdict in _GRAVEST_FIRST if verdicts[verdict]},
        events=sum(case.verdict.events for case in run.cases),
        lost=sum(case.verdict.lost for case in run.cases),
        lost_reasons=_lost_reasons(run),
        checks=tuple(_check_totals(check for case in run.cases for check in case.verdict.checks)),
        largest=_largest(run),
    )


_GRAVEST_FIRST = (Verdict.FAIL, Verdict.UNDECIDED, Verdict.PASS, Verdict.SKIP)


def _check_totals(checks: Iterable[Check]) -> list[CheckTotal]:
    by_name: dict[str, list[Check]] = {}
    for check in checks:
        by_name.setdefault(check.name, []).append(check)
    return [
        CheckTotal(
            name,
            len(same),
            sum(check.compared for check in same),
            sum(check.wrong for check in same),
            worst(check.verdict for check in same),
            all(check.by_model for check in same),
        )
        for name, same in by_name.items()
    ]


def _lost_reasons(run: Run) -> dict[str, int]:
    lost: Counter[str] = Counter()
    for case in run.cases:
        reasons = mapping(case.manifest, "capture", "lost_reasons")
        lost.update({str(name): number for name, number in reasons.items() if isinstance(number, int)})
    return dict(lost)


def _largest(run: Run) -> tuple[str, Mark] | None:
    found = [(case.id, case.timeline.largest) for case in run.cases]
    marks = [(case, mark) for case, mark in found if mark]
    return max(marks, key=lambda pair: pair[1].live_states, default=None)


def conclusion(run: Run, totals: Totals) -> str:
    """Say in a sentence or two what the run showed."""
    if not run.cases:
        return "No case was run, so nothing was compared."
    if totals.verdicts.get(Verdict.FAIL):
        return _failed(run, totals)
    if run.verdict is Verdict.UNDECIDED:
        return _undecided(run, totals)
    if run.verdict is Verdict.SKIP:
        return "Every case was skipped, so nothing was compared."
    skipped = totals.verdicts.get(Verdict.SKIP, 0)
    left_out = f" Not run: {plural(skipped, 'case')} (skipped)." if skipped else ""
    return (
        f"On kernel {run.kernel}, {plural(totals.compared, 'comparison')} of what the kernel did with what "
        f"the reference model predicts found no difference in "
        f"{plural(totals.verdicts[Verdict.PASS], 'case')}, and {_losses(totals)}.{left_out}"
    )


def _failed(run: Run, totals: Totals) -> str:
    return (
        f"On kernel {run.kernel}, {count(totals.wrong)} of {plural(totals.compared, 'comparison')} with the "
        f"reference model found a difference, in {totals.verdicts[Verdict.FAIL]} of "
        f"{plural(len(run.cases), 'case')}. Either the kernel or the model is wrong there."
    )


def _undecided(run: Run, totals: Totals) -> str:
    undecided = totals.verdicts.get(Verdict.UNDECIDED, 0)
    differences = plural(totals.wrong, "difference") if totals.wrong else "no difference"
    found = f"{plural(totals.compared, 'comparison')} on kernel {run.kernel} found {differences}"
    if run.interrupted:
        return f"The run was interrupted. {found}, but the run says nothing about what is missing."
    return (
        f"{found}, but {undecided} of {plural(len(run.cases), 'case')} could not be decided: "
        f"evidence or infrastructure was lost, or a search ended early. {_losses(totals).capitalize()}."
    )


def _losses(totals: Totals) -> str:
    if not totals.lost:
        return "no event was lost"
    return "1 event was lost" if totals.lost == 1 else f"{totals.lost:,} events were lost"
