# SPDX-License-Identifier: GPL-2.0-or-later
"""A comparison for the terminal: what changed, and of the figures those that matter."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.compare.comparison import Comparison
from reports.compare.sections import BAD, GOOD, Cell, brief_sections
from reports.text import printable

__all__ = ["print_comparison"]

_STYLE = {BAD: "bold red", GOOD: "green"}


def print_comparison(found: Comparison, console: Console) -> None:
    """Print it."""
    for section in brief_sections(found):
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="underline")
        for name in section.head:
            table.add_column(Text(printable(name)), overflow="fold")
        for row in section.rows:
            table.add_row(*map(_cell, row))
        console.print(Text(printable(section.title), style="bold"))
        console.print(table)
        console.print(section.note, highlight=False)
    for note in found.notes:
        console.print(note, highlight=False)
    verdict = Text("WORSE", style="bold red") if found.regressed else Text("NOT WORSE", style="green")
    console.print(Text.assemble(verdict, "  ", printable(found.conclusion)))


def _cell(cell: Cell) -> Text:
    return Text(printable(cell.text), style=_STYLE.get(cell.style, ""))
