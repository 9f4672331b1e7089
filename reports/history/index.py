# SPDX-License-Identifier: GPL-2.0-or-later
"""The index of all runs in a folder: SQLite, made from the runs themselves, so that it can be deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from reports.load import RUN_FILE, load_run
from reports.results import results
from reports.run import CaseResult, Run

__all__ = ["INDEX", "History", "Result", "opened"]

INDEX = "history.sqlite"
FORMAT = 1
"""`user_version` of the file; one of another format is made anew."""
SCHEMA = """
create table runs (folder text primary key, run_id text, started text, changed real);
create table results (folder text references runs on delete cascade, kernel text, release text, trial text,
    case_id text, seed integer, verdict text, events integer, lost integer, wall_s real);
create index by_case on results (case_id, kernel);
create table figures (folder text references runs on delete cascade, kernel text, case_id text,
    subject text, figure text, unit text, value real);
create index figures_by_case on figures (case_id, kernel, figure);
"""


@dataclass(frozen=True)
class Result:
    """A case of a run."""

    folder: str
    """Of the run, in the folder of all runs."""
    started: str
    kernel: str
    """Its label."""
    release: str
    case: str
    seed: int
    verdict: str
    wall_s: float


class History:
    """The index, up to date with the runs in its folder when it was opened."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def cases(self) -> list[str]:
        """Return the names of all cases that were ever run."""
        rows = self._connection.execute("select distinct case_id from results order by case_id")
        return [name for (name,) in rows]

    def results(self, case: str | None = None, kernel: str | None = None) -> list[Result]:
        """Return results, the oldest first; of one case, of one kernel's label, or all."""
        rows = self._connection.execute(
            "select folder, started, kernel, release, case_id, seed, verdict, wall_s "
            "from results join runs using (folder) "
            "where case_id = coalesce(?, case_id) and kernel = coalesce(?, kernel) "
            "order by started, folder, trial",
            (case, kernel),
        )
        return [Result(*row) for row in rows]

    def figures(self, case: str, figure: str) -> dict[tuple[str, str], list[tuple[str, float]]]:
        """Return by kernel and subject the values of a figure: when the run began, and the mean over it."""
        rows = self._connection.execute(
            "select kernel, subject, started, avg(value) from figures join runs using (folder) "
            "where case_id = ? and figure = ? group by folder, kernel, subject order by started, folder",
            (case, figure),
        )
        found: dict[tuple[str, str], list[tuple[str, float]]] = {}
        for kernel, subject, started, value in rows:
            found.setdefault((kernel, subject), []).append((started, value))
        return found


@contextmanager
def opened(runs: Path) -> Iterator[History]:
    """Open the index of the runs in a folder, made or brought up to date; UserError if that cannot be."""
    if not runs.is_dir():
        raise UserError(f"{runs}: no such folder: give the one that runs are in")
    try:
        connection = sqlite3.connect(runs / INDEX, timeout=60)
        try:
            with connection:
                _update(connection, runs)
            yield History(connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise UserError(f"{runs / INDEX}: {error}: delete it, it is made again from the runs") from None


def _update(connection: sqlite3.Connection, runs: Path) -> None:
    connection.execute("pragma foreign_keys = on")
    (version,) = connection.execute("pragma user_version").fetchone()
    if version != FORMAT:
        for table in ("figures", "results", "runs"):
            connection.execute(f"drop table if exists {table}")
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"pragma user_version = {FORMAT}")
    known = dict(connection.execute("select folder, changed from runs"))
    present = {file.parent.name: _changed(file.parent) for file in runs.glob(f"*/{RUN_FILE}")}
    for folder in known.keys() - present.keys():
        connection.execute("delete from runs where folder = ?", (folder,))
    for folder, changed in present.items():
        if known.get(folder) != changed:
            connection.execute("delete from runs where folder = ?", (folder,))
            _add(connection, runs / folder, changed)


def _changed(run: Path) -> float:
    """Return when anything of a run was last written: a verdict may be judged anew."""
    files = [run / RUN_FILE, *run.glob("*/*/verdict.json")]
    return max(file.stat().st_mtime for file in files)


def _add(connection: sqlite3.Connection, path: Path, changed: float) -> None:
    try:
        run = load_run(path)
    except UserError:
        # Of an older iodiff, or damaged: `report` says what is wrong with it.
        return
    connection.execute("insert into runs values (?, ?, ?, ?)", (path.name, run.run_id, run.started, changed))
    connection.executemany(
        "insert into results values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [_row(path.name, result) for result in run.cases],
    )
    connection.executemany("insert into figures values (?, ?, ?, ?, ?, ?, ?)", _figures(path.name, run))


def _row(folder: str, result: CaseResult) -> tuple[object, ...]:
    verdict = result.verdict
    trial = result.folder.name if result.folder else ""
    place = (folder, result.kernel.label, result.release, trial, result.id)
    return (*place, verdict.seed, str(verdict.verdict), verdict.events, verdict.lost, result.wall_s)


def _figures(folder: str, run: Run) -> list[tuple[object, ...]]:
    table = results(run)[["kernel", "case", "subject", "figure", "unit", "value"]]
    return [(folder, *row[:-1], float(row[-1])) for row in table.itertuples(index=False)]
