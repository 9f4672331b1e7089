# SPDX-License-Identifier: GPL-2.0-or-later
"""A verdict on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.cli.progress import STYLES
from harness.verdicts import CaseVerdict, Check, Difference

__all__ = ["print_verdict"]


def print_verdict(verdict: CaseVerdict, to: Console) -> None:
    """Print a case's verdict with every check, and the first difference of each that failed."""
    word = str(verdict.verdict)
    to.print(
        f"[{STYLES[word]}]{word}[/] {escape(verdict.case)}  {verdict.events:,} events, {verdict.lost:,} lost"
    )
    for reason in verdict.reasons:
        _print_indented(reason, to)
    if verdict.checks:
        to.print(Padding(_checks_table(verdict.checks), (0, 0, 0, 2)))
    for check in verdict.checks:
        if check.first_difference:
            _print_difference(check.name, check.first_difference, to)
    for name, number in verdict.counts.items():
        _print_indented(f"{number:,} {name}", to, "dim")
    for one in verdict.evidence:
        if one.against:
            other = f"{one.against:,} of {one.looked_at:,} reads are as with another value"
            _print_indented(f"{one.field}: {one.value} is not what was recorded: {other}", to)
    if decided := [f"{one.field} {one.decided:,}" for one in verdict.evidence if one.decided]:
        _print_indented(f"reads that decide a behaviour: {', '.join(decided)}", to, "dim")


def _checks_table(checks: Sequence[Check]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.columns[2].justify = "right"
    for check in checks:
        word = str(check.verdict)
        wrong = f"{check.wrong:,} wrong" if check.wrong else ""
        detail = ", ".join(text for text in (wrong, check.detail) if text)
        compared = f"{check.compared:,} compared"
        table.add_row(Text(word, STYLES[word]), escape(check.name), compared, escape(detail))
    return table


def _print_difference(check: str, difference: Difference, to: Console) -> None:
    where = f" (event {difference.event:,})" if difference.event is not None else ""
    _print_indented(f"first difference of {check}{where}: {difference.summary}", to)
    for side in ("model", "kernel"):
        for line in getattr(difference, side):
            to.print(f"    {side:6} {escape(line)}", soft_wrap=True)


def _print_indented(text: str, to: Console, style: str = "") -> None:
    to.print(Padding(Text(text, style), (0, 0, 0, 2), expand=False))
