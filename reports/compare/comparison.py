# SPDX-License-Identifier: GPL-2.0-or-later
"""A comparison as a whole, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reports.behaviours import Behaviours, behaviours
from reports.compare.correctness import CaseRow, Change, case_rows
from reports.compare.performance import FigureRow, figure_rows
from reports.compare.sides import Side
from reports.kernels import SIMULATED
from reports.run import Run
from reports.text import plural

__all__ = ["Comparison", "compare", "together"]


@dataclass(frozen=True)
class Comparison:
    """Sides, the first of which others are compared with."""

    sides: tuple[Side, ...]
    threshold: float
    """By what share a figure must be worse to be a regression."""
    cases: tuple[CaseRow, ...]
    behaviours: Behaviours
    figures: tuple[FigureRow, ...]

    @property
    def changed(self) -> list[CaseRow]:
        """Cases whose verdicts are not the same on all sides, and those that fail on all."""
        return [row for row in self.cases if row.change is not Change.SAME]

    @property
    def new_failures(self) -> list[CaseRow]:
        """Cases that fail where they did not on the first side."""
        return [row for row in self.cases if row.change is Change.NEW_FAILURE]

    @property
    def regressions(self) -> list[tuple[FigureRow, Side]]:
        """Figures that are worse than on the first side, and where."""
        return [
            (row, side)
            for row in self.figures
            for side, versus in zip(self.sides[1:], row.versus, strict=True)
            if versus.regression
        ]

    @property
    def regressed(self) -> bool:
        """Whether anything is worse than on the first side."""
        return bool(self.new_failures or self.regressions)

    @property
    def repetitions(self) -> int:
        """How often each figure was measured on the side that did so least."""
        return min((len(sample.values) for row in self.figures for sample in row.samples), default=0)

    @property
    def notes(self) -> list[str]:
        """What the reader must know to believe the figures."""
        notes = []
        if self.figures and self.repetitions < 3:
            notes.append(
                f"Figures were measured {plural(self.repetitions, 'time')} only, so no difference can be "
                "told from chance: run with --repeat 5 or more."
            )
        if any(result.kernel.simulated for side in self.sides for result in side.results):
            notes.append(SIMULATED)
        if self.figures:
            notes.append("All figures were measured while the kernel was being recorded.")
        return notes

    @property
    def conclusion(self) -> str:
        """Say in a sentence or two what came of it."""
        first = self.sides[0].name
        parts = [f"{plural(len(self.cases), 'case')} on {plural(len(self.sides), 'side')}, against {first}."]
        counts = {change: sum(row.change is change for row in self.cases) for change in Change}
        parts += [f"{counts[change]} {change}." for change in Change if counts[change]]
        worse = len(self.regressions)
        if self.figures:
            told = plural(worse, "figure") if worse else "No figure"
            parts.append(f"{told} worse by more than {self.threshold:.0%}, beyond chance.")
        return " ".join(parts)


def compare(sides: Sequence[Side], threshold: float) -> Comparison:
    """Compare; nothing is run or judged."""
    return Comparison(
        tuple(sides),
        threshold,
        tuple(case_rows(sides)),
        behaviours(together(sides)),
        tuple(figure_rows(sides, threshold)),
    )


def together(sides: Sequence[Side]) -> Run:
    """Return one run of all sides, its kernels called as the sides are."""
    kernels, cases = [], []
    for side in sides:
        kernel = replace(side.results[0].kernel, label=side.name)
        kernels.append(kernel)
        cases += [replace(result, kernel=kernel) for result in side.results]
    return Run(sides[0].run.path, {}, tuple(kernels), tuple(cases))
