# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report", "write_reports"]


def report(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder or single bundle.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default: the run folder.")] = None,
    as_ktap: Annotated[
        bool, typer.Option("--ktap", help="Print KTAP, version 1, and write nothing.")
    ] = False,
) -> int:
    """Write summary.json, junit.xml, results.csv, check.log, report.md and report.html from recorded bundles.

    Nothing is run or judged again.
    """
    if as_ktap:
        return _print_ktap(path)
    return write_reports(path, out or path)


def _print_ktap(path: Path) -> int:
    from harness.cli.exit_codes import exit_code
    from reports import load_run
    from reports.ktap import ktap

    run = load_run(path)
    print(ktap(run), end="")
    return exit_code([run.verdict])


def write_reports(path: Path, out: Path) -> int:
    """Write all reports, print the summary, and return the exit code of the run."""
    from harness.cli.exit_codes import exit_code
    from harness.cli.progress import console
    from reports import load_run, print_summary, with_previous, write_all

    run = with_previous(load_run(path))
    write_all(run, out)
    print_summary(run, console())
    return exit_code([run.verdict])
