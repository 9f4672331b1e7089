# SPDX-License-Identifier: GPL-2.0-or-later
"""All figures of a run as one tidy table, a row a figure, for statistics and for comparing runs."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from reports.fio import fio_rows, task_rows
from reports.run import CaseResult, Run

__all__ = ["COLUMNS", "results"]

COLUMNS = (
    "run_id",
    "kernel",
    "release",
    "suite",
    "case",
    "seed",
    "verdict",
    "subject",
    "figure",
    "unit",
    "value",
)
"""`kernel` is its label in the run; `subject` the check or fio job that the figure is about, empty for the
case as a whole."""

_Figure = tuple[str, str, str, float | int | None]
"""Subject, figure, unit, value; None where it is not known."""


def results(run: Run) -> pd.DataFrame:
    """Return the table, with `COLUMNS`, of every case that has a record; figures not known are left out."""
    rows = [
        (
            run.run_id,
            case.kernel.label,
            case.release,
            case.verdict.suite,
            case.id,
            case.verdict.seed,
            str(case.verdict.verdict),
            *figure,
        )
        for case in run.cases
        for figure in _figures(case)
        if figure[3] is not None
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _figures(case: CaseResult) -> Iterator[_Figure]:
    if case.bundle is None:
        return
    yield "", "events", "count", case.verdict.events
    yield "", "lost", "count", case.verdict.lost
    yield "", "recording", "s", case.wall_s
    yield "", "judging", "s", case.verdict.judged_s
    for check in case.verdict.checks:
        yield check.name, "compared", "count", check.compared
        yield check.name, "wrong", "count", check.wrong
    for name, number in case.counts.items():
        yield "", name, "count", number
    for row in fio_rows(case.bundle):
        subject = f"fio {row.job} {row.direction}"
        yield subject, "bandwidth", "bytes/s", row.bw_bytes
        yield subject, "iops", "1/s", row.iops
        yield subject, "completion p50", "ns", row.p50_ns
        yield subject, "completion p99", "ns", row.p99_ns
    for task in task_rows(case.bundle):
        subject = f"fio {task.job}"
        yield subject, "CPU in user mode", "s", task.cpu_user_s
        yield subject, "CPU in the kernel", "s", task.cpu_system_s
        yield subject, "waited for block I/O", "s", task.blkio_delay_s
