# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of a run as rows and its kernels as columns, holes included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.verdicts import Verdict, worst
from reports.kernels import Kernel
from reports.run import CaseResult, Run

__all__ = ["Cell", "Hole", "Row", "holes", "matrix"]


@dataclass(frozen=True)
class Cell:
    """One case on one kernel."""

    kernel: Kernel
    cases: tuple[CaseResult, ...]
    """None when the case was not to run there; several when loose bundles hold the case more than once."""

    @property
    def recorded(self) -> list[CaseResult]:
        """Those that left something."""
        return [case for case in self.cases if not case.missing]

    @property
    def verdict(self) -> Verdict | None:
        """The gravest verdict; None for a hole, and for a case that was not to run there."""
        return worst(case.verdict.verdict for case in self.recorded) if self.recorded else None

    @property
    def hole(self) -> bool:
        """Whether the case was to run there and left nothing."""
        return bool(self.cases) and not self.recorded


@dataclass(frozen=True)
class Row:
    """One case on all kernels."""

    case: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Hole:
    """Cases of one kernel that left nothing for the same reason."""

    kernel: Kernel
    reason: str
    cases: tuple[str, ...]


def matrix(run: Run) -> list[Row]:
    """Return a row for each case that was to run on any kernel, in the order of the run."""
    told = run.facts.get("cases")
    planned = [str(case) for case in told] if isinstance(told, list) else []
    ran = {case.id for case in run.cases}
    ids = [case for case in dict.fromkeys([*planned, *(case.id for case in run.cases)]) if case in ran]
    of_kernel = {kernel.label: _by_id(run.on(kernel)) for kernel in run.kernels}
    return [
        Row(case, tuple(Cell(kernel, tuple(of_kernel[kernel.label].get(case, ()))) for kernel in run.kernels))
        for case in ids
    ]


def _by_id(cases: Sequence[CaseResult]) -> dict[str, list[CaseResult]]:
    by_id: dict[str, list[CaseResult]] = {}
    for case in cases:
        by_id.setdefault(case.id, []).append(case)
    return by_id


def holes(run: Run) -> list[Hole]:
    """Return what is missing, by kernel and reason."""
    found: dict[tuple[str, str], list[str]] = {}
    kernels = {kernel.label: kernel for kernel in run.kernels}
    for case in run.cases:
        if case.missing:
            found.setdefault((case.kernel.label, "; ".join(case.verdict.reasons)), []).append(case.id)
    return [Hole(kernels[label], reason, tuple(cases)) for (label, reason), cases in found.items()]
