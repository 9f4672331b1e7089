# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of `report.md` that sets kernels side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reports.across import Differences, EventRow, differences, figure
from reports.behaviours import Row, Side, behaviours, in_words
from reports.kernels import SIMULATED, Kernel
from reports.markup import code, text
from reports.matrix import Cell, matrix
from reports.run import Run
from reports.text import duration
from reports.totals import add_up

__all__ = ["across_kernels", "how_they_behave"]


def across_kernels(run: Run) -> list[str]:
    """Return the kernels, the cases on each of them, and what differs."""
    note = [SIMULATED, ""] if any(kernel.simulated for kernel in run.kernels) else []
    head = ["Case", *(text(kernel.label) for kernel in run.kernels)]
    rows = [[code(row.case), *(_cell(cell) for cell in row.cells)] for row in matrix(run)]
    return [
        *("## Kernels", "", *_kernels(run), *note),
        *("## Cases", "", *_table(head, rows)),
        *("## Differences between kernels", "", *_differences(differences(run))),
    ]


def _kernels(run: Run) -> list[str]:
    head = ["Kernel", "Release", "Guest", "Cases", "Took"]
    return _table(head, [_kernel(run, kernel) for kernel in run.kernels])


def _kernel(run: Run, kernel: Kernel) -> list[str]:
    cases = ", ".join(add_up(run.on(kernel)).in_short)
    lost = f"; guest lost: {kernel.lost}" if kernel.lost else ""
    guest = kernel.guest_in_words or "-"
    return [code(kernel.name), code(kernel.release), guest, text(cases + lost), duration(kernel.wall_s)]


def _cell(cell: Cell) -> str:
    if cell.hole:
        return "— no record"
    return " ".join(case.verdict.verdict for case in cell.recorded) or "not to run"


def _differences(found: Differences) -> list[str]:
    lines = []
    for split in found.verdicts:
        sides = [
            f"{verdict} on {_labels(case.kernel for case in cases)}" for verdict, cases in split.verdicts
        ]
        lines.append(f"- {code(split.case)}: {'; '.join(sides)}")
    for feature in found.features:
        names = ", ".join(code(name) for name in feature.names)
        lines.append(f"- {feature.kind} {names}: on {_labels(feature.on)}; not on {_labels(feature.not_on)}")
    notable = [line for row in found.events for line in _notable(row, found.kernels)]
    return [
        *(lines + notable or ["None found in verdicts, behaviours, names known, and events by kind."]),
        "",
    ]


def _notable(row: EventRow, kernels: Sequence[Kernel]) -> list[str]:
    figures = [figure(value) for value in row.values]
    marks = [f"{text(k.label)} {mark}" for k, mark in zip(kernels, row.notable, strict=True) if mark]
    return [f"- events, {row.name}: {', '.join(marks)} (all: {', '.join(figures)})"] if marks else []


def _labels(kernels: Iterable[Kernel]) -> str:
    return ", ".join(text(kernel.label) for kernel in kernels)


def how_they_behave(run: Run) -> list[str]:
    """Return the table of behaviours; of several kernels, of those in which they differ."""
    found = behaviours(run)
    rows = found.differing if run.several else found.rows
    if not found.rows:
        return []
    same = [f"The same on all of them: {_names(found.shared)}.", ""] if run.several and found.shared else []
    head = ["Behaviour", *(text(kernel.label) for kernel in found.kernels)]
    note = "In brackets: how many reads decide it, of those looked at."
    lines = [[f"{code(row.field)}: {text(row.said)}", *map(_side, row.sides)] for row in rows]
    return ["## Direct reads", "", *([*_table(head, lines), note, ""] if lines else []), *same]


def _names(rows: Sequence[Row]) -> str:
    return ", ".join(code(row.field) for row in rows)


def _side(side: Side | None) -> str:
    if side is None or not side.looked_at:
        return text(in_words(side))
    against = f", **{side.against:,} against**" if side.against else ""
    return f"{text(in_words(side))} ({side.decided:,} of {side.looked_at:,}{against})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]
