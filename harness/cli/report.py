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
) -> int:
    """Write summary.json, junit.xml, report.md and report.html from recorded bundles and their verdicts.

    Nothing is run or judged again.
    """
    return write_reports(path, out or path)


def write_reports(path: Path, out: Path) -> int:
    """Write all reports, print the summary, and return the exit code of the run."""
    from harness.cli.exit_codes import exit_code
    from harness.cli.progress import console
    from reports import load_run, print_summary, with_previous, write_all

    run = with_previous(load_run(path))
    write_all(run, out)
    print_summary(run, console())
    return exit_code([run.verdict])
