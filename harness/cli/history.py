# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff history`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.errors import UserError

__all__ = ["history"]


def history(
    case: Annotated[
        str | None, typer.Argument(metavar="CASE", help="Case; none: all that ever failed.")
    ] = None,
    kernel: Annotated[str | None, typer.Option("--kernel", "-k", help="Only this kernel, by label.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many results to print.")] = 20,
    html: Annotated[
        Path | None, typer.Option(help="Write the case's page, with plots, to this file.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="The folder that runs are in.")] = Path("results"),
) -> None:
    """Tell what became of a case from run to run, and how often it fails.

    An index of all runs is kept in RUNS/history.sqlite: brought up to date each time, it can be deleted.
    """
    from harness.cli.progress import console
    from reports.history import history_page, opened, print_case, print_flaky
    from reports.write import write

    if html and not case:
        raise UserError("--html is for one case: name it")
    with opened(runs) as index:
        if case is None:
            print_flaky(index.results(kernel=kernel), console())
            return
        found = index.results(case, kernel)
        if not found:
            where = f" on {kernel}" if kernel else ""
            raise UserError(f"{case}: never run{where} in {runs}")
        print_case(found, console(), last)
        if html:
            print(f"written to {write(html, history_page(index, case, found))}")
