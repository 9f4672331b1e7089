# SPDX-License-Identifier: GPL-2.0-or-later
"""A comparison as tables of text, from which each form of report is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.verdicts import Verdict
from reports import text
from reports.across import differences
from reports.behaviours import in_words
from reports.compare.comparison import Comparison, together
from reports.compare.correctness import CaseRow, Outcome
from reports.compare.performance import JUDGED, FigureRow, Versus
from reports.compare.statistics import Sample

__all__ = ["BAD", "GOOD", "Cell", "Section", "brief_sections", "sections"]

BAD, GOOD, PLAIN = "bad", "good", ""
_STARS = (
    "* < 5 %, ** < 1 %, *** < 0.1 %: how likely chance alone makes such a difference, over all figures "
    "(Welch's test on logarithms, Holm)."
)


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    style: str = PLAIN
    """`bad`, `good` or nothing."""


@dataclass(frozen=True)
class Section:
    """A table under a heading."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    numbers_from: int | None = None
    """From which column on there are numbers."""


def sections(found: Comparison) -> list[Section]:
    """Return the tables that have rows: verdicts, behaviours, names, figures."""
    every = [_verdicts(found), _behaviours(found), _names(found), *_figures(found)]
    return [section for section in every if section.rows]


def brief_sections(found: Comparison) -> list[Section]:
    """Return what fits a terminal: of the figures those that can be a regression, in few columns."""
    every = [_verdicts(found), _behaviours(found), _names(found), _brief_figures(found)]
    return [section for section in every if section.rows]


def _verdicts(found: Comparison) -> Section:
    rows = [
        (Cell(row.case), *map(_outcome, row.outcomes), Cell(str(row.change)), Cell(_why(row)))
        for row in found.changed
    ]
    head = ("Case", *(side.name for side in found.sides), "Change", "First difference")
    return Section("Verdicts that are not the same", head, tuple(rows))


def _outcome(outcome: Outcome | None) -> Cell:
    if outcome is None:
        return Cell("-")
    styles = {Verdict.FAIL: BAD, Verdict.PASS: GOOD}
    return Cell(outcome.told, styles.get(outcome.verdict, PLAIN))


def _why(row: CaseRow) -> str:
    return next((one.first_difference for one in row.outcomes[::-1] if one and one.first_difference), "")


def _behaviours(found: Comparison) -> Section:
    table = found.behaviours
    rows = [
        (
            Cell(row.field),
            *(Cell(f"{in_words(side)} ({side.told})" if side else "-") for side in row.sides),
            Cell(row.said),
        )
        for row in table.differing
    ]
    head = ("Behaviour", *(kernel.label for kernel in table.kernels), "What it means, and where that stands")
    return Section("Behaviours in which they differ", head, tuple(rows))


def _names(found: Comparison) -> Section:
    rows = [
        (Cell(feature.kind), Cell(", ".join(feature.names)), *_on([k.label for k in feature.on], found))
        for feature in differences(together(found.sides)).features
    ]
    head = ("Kind", "Name", *(side.name for side in found.sides))
    return Section("What only some of them have", head, tuple(rows))


def _on(labels: Sequence[str], found: Comparison) -> list[Cell]:
    return [Cell("yes" if side.name in labels else "-") for side in found.sides]


def _figures(found: Comparison) -> list[Section]:
    """Return a table for each figure; in each, regressions come first."""
    first, *others = (side.name for side in found.sides)
    head = ["Case", "Job", *(f"{first}: {name}" for name in ("Amean", "Hmean", "Min", "Max", "CoeffVar"))]
    for name in others:
        head += [f"{name}: {what}" for what in ("Amean", "CoeffVar", "ratio", "95 %", "")]
    names = dict.fromkeys((row.figure, row.unit) for row in found.figures)
    return [
        Section(
            f"{figure[:1].upper()}{figure[1:]}, {unit}",
            tuple(head),
            tuple(_figure(row) for row in _regressions_first(found.figures, figure)),
            _STARS,
            numbers_from=2,
        )
        for figure, unit in names
    ]


def _regressions_first(rows: Sequence[FigureRow], figure: str) -> list[FigureRow]:
    wanted = [row for row in rows if row.figure == figure]
    return sorted(wanted, key=lambda row: not any(versus.regression for versus in row.versus))


def _figure(row: FigureRow) -> tuple[Cell, ...]:
    first, *others = row.samples
    of_first = (first.amean, first.hmean, min(first.values), max(first.values))
    cells = [Cell(row.case), Cell(row.subject), *(Cell(text.short(value)) for value in of_first)]
    cells.append(Cell(_spread(first)))
    for sample, versus in zip(others, row.versus, strict=True):
        cells += [Cell(text.short(sample.amean)), Cell(_spread(sample)), *_ratio(versus)]
    return tuple(cells)


def _ratio(versus: Versus) -> list[Cell]:
    style = BAD if versus.regression else PLAIN
    if versus.ratio is None:
        return [Cell("-"), Cell("-"), Cell("")]
    low, high = versus.ratio.low, versus.ratio.high
    between = "-" if low is None or high is None else f"{low:.2f}-{high:.2f}"
    mark = f"{versus.stars} REGRESSION".strip() if versus.regression else versus.stars
    return [Cell(f"{versus.ratio.ratio:.3f}", style), Cell(between), Cell(mark, style)]


def _brief_figures(found: Comparison) -> Section:
    """Return a table with a line for each figure: the first side, and by what the others multiply it."""
    rows = []
    for figure in JUDGED:
        for row in _regressions_first(found.figures, figure):
            ratios = [_ratio(versus) for versus in row.versus]
            told = [Cell(f"{a.text} {b.text} {c.text}".rstrip(), a.style) for a, b, c in ratios]
            mean = f"{text.short(row.samples[0].amean)} ± {_spread(row.samples[0])}"
            rows.append((Cell(f"{row.case} {row.subject.removeprefix('fio ')}"), Cell(mean), *told))
    first, *others = (side.name for side in found.sides)
    title = f"{' and '.join(JUDGED).capitalize()}, bytes/s: mean, and ratio with its interval of 95 %"
    return Section(title, ("Case and job", first, *others), tuple(rows), _STARS)


def _spread(sample: Sample) -> str:
    return "-" if sample.coeff_var is None else f"{sample.coeff_var:.1f} %"
