# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run adds up to, and the plain sentences that say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.verdicts import Check, Verdict, worst
from reports.run import CaseResult, Run
from reports.text import count, mapping, plural
from reports.timeline import Mark

__all__ = ["GRAVEST_FIRST", "LIMITS", "CheckTotal", "Totals", "add_up", "conclusion"]

GRAVEST_FIRST = (Verdict.FAIL, Verdict.UNDECIDED, Verdict.PASS, Verdict.SKIP)

LIMITS = (
    "It speaks for the kernel builds named here, these workloads and these seeds only. Code that the cases "
    "did not reach was not compared, and agreement with a model cannot show a mistake that the model shares."
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
    """Sums over cases: those of a run, or of one of its kernels."""

    verdicts: dict[Verdict, int]
    """Cases by verdict, the gravest first; only verdicts that occur."""
    missing: int
    """Of the UNDECIDED ones, those that left nothing at all."""
    wall_s: float
    """Time the recordings took, s."""
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
    def in_short(self) -> list[str]:
        """As `cases_in_words`, apart, and with what is missing by that name."""
        known = {**self.verdicts, Verdict.UNDECIDED: self.verdicts.get(Verdict.UNDECIDED, 0) - self.missing}
        words = [f"{known[verdict]} {verdict}" for verdict in GRAVEST_FIRST if known.get(verdict)]
        return [*words, f"{self.missing} no record"] if self.missing else words

    @property
    def cases_in_words(self) -> str:
        """Such as `1 FAIL, 3 UNDECIDED (2 without a record), 12 PASS`."""
        words = {verdict: f"{number} {verdict}" for verdict, number in self.verdicts.items()}
        if self.missing:
            words[Verdict.UNDECIDED] += f" ({self.missing} without a record)"
        return ", ".join(words.values()) or "none"


def add_up(cases: Sequence[CaseResult]) -> Totals:
    """Add up cases."""
    verdicts = Counter(case.verdict.verdict for case in cases)
    return Totals(
        verdicts={verdict: verdicts[verdict] for verdict in GRAVEST_FIRST if verdicts[verdict]},
        missing=sum(case.missing for case in cases),
        wall_s=sum(case.wall_s for case in cases),
        events=sum(case.verdict.events for case in cases),
        lost=sum(case.verdict.lost for case in cases),
        lost_reasons=_lost_reasons(cases),
        checks=tuple(_check_totals(check for case in cases for check in case.verdict.checks)),
        largest=_largest(cases),
    )


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


def _lost_reasons(cases: Sequence[CaseResult]) -> dict[str, int]:
    lost: Counter[str] = Counter()
    for case in cases:
        reasons = mapping(case.manifest, "capture", "lost_reasons")
        lost.update({str(name): number for name, number in reasons.items() if isinstance(number, int)})
    return dict(lost)


def _largest(cases: Sequence[CaseResult]) -> tuple[str, Mark] | None:
    found = [(case.id, case.timeline.largest) for case in cases]
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
    left_out = f" Not run: {_cases(skipped, run)} (skipped)." if skipped else ""
    return (
        f"On {_kernels(run)}, {plural(totals.compared, 'comparison')} of what the kernel did with what "
        f"the reference model predicts found no difference in "
        f"{_cases(totals.verdicts[Verdict.PASS], run)}, and {_losses(totals)}.{left_out}"
    )


def _failed(run: Run, totals: Totals) -> str:
    return (
        f"On {_kernels(run)}, {count(totals.wrong)} of {plural(totals.compared, 'comparison')} with the "
        f"reference model found a difference, in {totals.verdicts[Verdict.FAIL]} of "
        f"{_cases(len(run.cases), run)}. Either the kernel or the model is wrong there."
        f"{_all_listed(run)}{_guests_lost(run)}"
    )


def _all_listed(run: Run) -> str:
    listed = all(case.expected for case in run.cases if case.verdict.verdict is Verdict.FAIL)
    return " All of these failures were listed beforehand as known issues." if listed else ""


def _undecided(run: Run, totals: Totals) -> str:
    undecided = totals.verdicts.get(Verdict.UNDECIDED, 0)
    differences = plural(totals.wrong, "difference") if totals.wrong else "no difference"
    found = f"{plural(totals.compared, 'comparison')} on {_kernels(run)} found {differences}"
    if run.interrupted:
        return (
            f"The run was interrupted. {found}, but the run says nothing about what is missing."
            f"{_guests_lost(run)}"
        )
    return (
        f"{found}, but {undecided} of {_cases(len(run.cases), run)} could not be decided: "
        f"evidence or infrastructure was lost, or a search ended early. {_losses(totals).capitalize()}."
        f"{_guests_lost(run)}"
    )


def _kernels(run: Run) -> str:
    return f"{len(run.kernels)} kernels" if run.several else f"kernel {run.kernels[0].release}"


def _cases(number: int, run: Run) -> str:
    """Number and noun: a case on several kernels has a result on each."""
    return plural(number, run.noun)


def _guests_lost(run: Run) -> str:
    return "".join(f" The guest of {k.name} was lost: {k.lost}." for k in run.kernels if k.lost)


def _losses(totals: Totals) -> str:
    if not totals.lost:
        return "no event was lost"
    return "1 event was lost" if totals.lost == 1 else f"{totals.lost:,} events were lost"
