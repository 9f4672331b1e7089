# SPDX-License-Identifier: GPL-2.0-or-later
"""A case's history for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.history.index import Result
from reports.history.rates import failure_rate
from reports.text import duration, printable

__all__ = ["print_case", "print_flaky"]

_STYLE = {"PASS": "green", "FAIL": "bold red", "UNDECIDED": "yellow", "SKIP": "dim"}


def print_case(results: Sequence[Result], console: Console, last: int) -> None:
    """Print a line for each of the last results of a case, and how often it failed on each kernel."""
    if len(results) > last:
        console.print(f"(the last {last} of {len(results)})")
    table = _table("Verdict", "Began", "Kernel", "Release", "Seed", "Took", "Run")
    for one in results[-last:]:
        table.add_row(
            Text(one.verdict, style=_STYLE.get(one.verdict, "")),
            *map(printable, (one.started, one.kernel, one.release, str(one.seed))),
            duration(one.wall_s),
            printable(one.folder),
        )
    console.print(table)
    for kernel in dict.fromkeys(one.kernel for one in results):
        rate = failure_rate(one.verdict for one in results if one.kernel == kernel)
        undecided = f", {rate.undecided} undecided" if rate.undecided else ""
        console.print(f"{printable(kernel)}: failed {rate}{undecided}", highlight=False)


def print_flaky(results: Sequence[Result], console: Console) -> None:
    """Print the cases that ever failed, those that fail most often first."""
    by_case: dict[tuple[str, str], list[str]] = {}
    for one in results:
        by_case.setdefault((one.case, one.kernel), []).append(one.verdict)
    rates = {key: failure_rate(verdicts) for key, verdicts in by_case.items()}
    failed = sorted((key for key in rates if rates[key].failed), key=lambda key: -rates[key].low)
    table = _table("Case", "Kernel", "Failed", "")
    for case, kernel in failed:
        flaky = "flaky" if rates[case, kernel].flaky else "always"
        table.add_row(printable(case), printable(kernel), str(rates[case, kernel]), flaky)
    runs = len({one.folder for one in results})
    console.print(
        f"{len(by_case)} cases on their kernels, {len(results)} results, {runs} runs", highlight=False
    )
    console.print(table if failed else "None ever failed.")


def _table(*heads: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="underline")
    for head in heads:
        table.add_column(head, overflow="fold")
    return table
