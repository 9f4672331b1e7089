# SPDX-License-Identifier: GPL-2.0-or-later
"""What is compared: runs, or one kernel of a run each, given as `RUN` or `RUN@KERNEL`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from reports.load import load_run
from reports.run import CaseResult, Run

__all__ = ["Side", "sides_of"]


@dataclass(frozen=True)
class Side:
    """The results of one kernel."""

    name: str
    run: Run
    results: tuple[CaseResult, ...]

    def by_case(self) -> dict[str, list[CaseResult]]:
        """Return the results of each case: as many as it was run."""
        found: dict[str, list[CaseResult]] = {}
        for result in self.results:
            found.setdefault(result.id, []).append(result)
        return found


def sides_of(given: Sequence[str]) -> list[Side]:
    """Return the sides, the first of which is what others are compared with.

    One run of several kernels alone gives a side for each of them. UserError where nothing can be compared.
    """
    runs: dict[str, Run] = {}
    sides = [side for one in given for side in _sides(one, runs, alone=len(given) == 1)]
    if len(sides) < 2:
        raise UserError("only one side: give two runs, or a run of several kernels")
    names = [side.name for side in sides]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{repeated}: given twice")
    if not set.intersection(*(set(side.by_case()) for side in sides)):
        raise UserError("no case was run on all sides: compare runs of the same cases")
    return sides


def _sides(given: str, runs: dict[str, Run], *, alone: bool) -> list[Side]:
    path, _, label = given.partition("@")
    run = runs.setdefault(path, load_run(Path(path)))
    labels = [kernel.label for kernel in run.kernels]
    if label and label not in labels:
        raise UserError(f"{given}: the run has no kernel {label}: one of {', '.join(labels)}")
    if not label and run.several and not alone:
        raise UserError(f"{given}: has several kernels: say which, as {path}@{labels[0]}")
    short = Path(path).resolve().name
    return [
        Side(kernel.label if alone else _named(short, kernel.label, run), run, tuple(run.on(kernel)))
        for kernel in run.kernels
        if label in ("", kernel.label)
    ]


def _named(short: str, label: str, run: Run) -> str:
    return f"{short}@{label}" if run.several else short
