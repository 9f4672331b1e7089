# SPDX-License-Identifier: GPL-2.0-or-later
"""What differs between the kernels of a run: verdicts, behaviours, names known, events by kind."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from statistics import median_low

import numpy as np
from numpy.typing import NDArray

from harness.verdicts import Verdict
from reports.kernels import Kernel
from reports.matrix import Row, matrix
from reports.run import CaseResult, Run
from reports.text import count, mapping
from reports.totals import GRAVEST_FIRST

__all__ = ["NOTABLE", "Differences", "Disagreement", "EventRow", "Feature", "differences", "figure"]

NOTABLE = 1.5
"""Events of a kind are marked when they are this many times those of the middle kernel, or one in so many.

Timing alone moves them: the same workload meets other locks, merges and write-backs each time.
"""

# docs/architecture.md, events.npz
EVENTS = "events.npz"
KINDS = ("set", "clear", "convert", "alloc", "free")
"""In the order of their codes, from 1; the operations come first."""


@dataclass(frozen=True)
class Disagreement:
    """A case whose verdicts differ."""

    case: str
    verdicts: tuple[tuple[Verdict, tuple[CaseResult, ...]], ...]
    """The gravest first."""


@dataclass(frozen=True)
class Feature:
    """Something that only some of the kernels that tell have."""

    kind: str
    names: tuple[str, ...]
    on: tuple[Kernel, ...]
    not_on: tuple[Kernel, ...]


@dataclass(frozen=True)
class EventRow:
    """Events of one kind, or a ratio of two, on each kernel compared."""

    name: str
    values: tuple[float | None, ...]
    """None where the ratio has nothing to divide by."""

    @property
    def notable(self) -> tuple[str, ...]:
        """For each kernel, how it differs from the one in the middle (`2.3 times`, `none here`), or empty."""
        known = [value for value in self.values if value is not None]
        return tuple("" if value is None else _stands_out(value, median_low(known)) for value in self.values)


@dataclass(frozen=True)
class Differences:
    """All that differs between the kernels of a run."""

    verdicts: tuple[Disagreement, ...]
    features: tuple[Feature, ...]
    kernels: tuple[Kernel, ...]
    """Those whose events are set side by side: they recorded at least one case."""
    common: tuple[str, ...]
    """The cases that PASS on all of these; what is compared below the verdict is compared in them alone."""
    events: tuple[EventRow, ...]


def differences(run: Run) -> Differences:
    """Compare the kernels of a run with each other; all is empty when there is only one."""
    rows = matrix(run)
    kernels = tuple(kernel for kernel in run.kernels if any(not case.missing for case in run.on(kernel)))
    common = _pass_on_all(rows, kernels) if len(kernels) > 1 else []
    results = [
        [case for case in run.on(kernel) if case.id in common and not case.missing] for kernel in kernels
    ]
    behaviours = [{name for case in cases for name in case.behaviours} for cases in results]
    return Differences(
        tuple(found for row in rows if (found := _disagreement(row))),
        (
            *_features("behaviour", kernels, behaviours),
            *_known(run, "bits", "state bit"),
            *_known(run, "owners", "tree owner"),
        ),
        kernels,
        tuple(common),
        tuple(_events(results)) if common else (),
    )


def _pass_on_all(rows: Sequence[Row], kernels: Sequence[Kernel]) -> list[str]:
    labels = {kernel.label for kernel in kernels}
    return [
        row.case
        for row in rows
        if all(cell.verdict is Verdict.PASS for cell in row.cells if cell.kernel.label in labels)
    ]


def _disagreement(row: Row) -> Disagreement | None:
    by_verdict: dict[Verdict, list[CaseResult]] = {}
    for cell in row.cells:
        if cell.verdict:
            shown = next(case for case in cell.recorded if case.verdict.verdict is cell.verdict)
            by_verdict.setdefault(cell.verdict, []).append(shown)
    if len(by_verdict) < 2:
        return None
    gravest_first = sorted(by_verdict, key=GRAVEST_FIRST.index)
    return Disagreement(row.case, tuple((verdict, tuple(by_verdict[verdict])) for verdict in gravest_first))


def _known(run: Run, key: str, kind: str) -> list[Feature]:
    """Names that the capture learnt from some of the kernels only; those that tell none are left out."""
    names = [
        {str(name) for case in run.on(kernel) for name in mapping(case.manifest, "capture", key)}
        for kernel in run.kernels
    ]
    telling = [number for number, known in enumerate(names) if known]
    return _features(kind, [run.kernels[n] for n in telling], [names[n] for n in telling])


def _features(kind: str, kernels: Sequence[Kernel], names: Sequence[Set[str]]) -> list[Feature]:
    """Set apart what is not on all kernels; names on the same kernels stand together."""
    by_place: dict[tuple[bool, ...], list[str]] = {}
    for name in sorted(set().union(*names)):
        by_place.setdefault(tuple(name in known for known in names), []).append(name)
    return [
        Feature(
            kind,
            tuple(together),
            tuple(kernel for kernel, has in zip(kernels, place, strict=True) if has),
            tuple(kernel for kernel, has in zip(kernels, place, strict=True) if not has),
        )
        for place, together in by_place.items()
        if not all(place)
    ]


def _events(results: Sequence[Sequence[CaseResult]]) -> list[EventRow]:
    """Add up the events of each kernel's cases by kind; nothing where no case has any."""
    totals = [sum((_kinds(case) for case in cases), np.zeros(len(KINDS), np.int64)) for cases in results]
    if not any(total.any() for total in totals):
        return []
    rows = [EventRow(kind, tuple(int(total[n]) for total in totals)) for n, kind in enumerate(KINDS)]
    allocated, freed = KINDS.index("alloc"), KINDS.index("free")
    return [
        *rows,
        EventRow(
            "allocated for each operation", tuple(_ratio(t[allocated], t[:allocated].sum()) for t in totals)
        ),
        EventRow("freed for each allocated", tuple(_ratio(t[freed], t[allocated]) for t in totals)),
    ]


def _kinds(case: CaseResult) -> NDArray[np.int64]:
    if case.bundle is None or not case.bundle.has(EVENTS):
        return np.zeros(len(KINDS), np.int64)
    kind = case.bundle.table(EVENTS, "kind")["kind"]
    return np.bincount(kind, minlength=len(KINDS) + 1)[1 : len(KINDS) + 1]


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _stands_out(value: float, usual: float) -> str:
    if value == usual:
        return ""
    if not value or not usual:
        return "not everywhere" if value else "none here"
    return "" if 1 / NOTABLE < value / usual < NOTABLE else f"{value / usual:.2g} times"


def figure(value: float | None) -> str:
    """Write a count or a ratio for people; a dash where there is none."""
    if value is None:
        return "-"
    return count(value) if isinstance(value, int) else f"{value:.2f}"
