# SPDX-License-Identifier: GPL-2.0-or-later
"""A verdict on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from harness.cli.progress import STYLES
from harness.verdicts import CaseVerdict, Difference

__all__ = ["print_verdict"]


def print_verdict(verdict: CaseVerdict, to: Console) -> None:
    """Print a case's verdict with every check, and the first difference of each that failed."""
    word = str(verdict.verdict)
    to.print(
        f"[{STYLES[word]}]{word}[/] {escape(verdict.case)}  {verdict.events:,} events, {verdict.lost:,} lost"
    )
    for reason in verdict.reasons:
        to.print(f"  {escape(reason)}")
    for check in verdict.checks:
        style = STYLES[str(check.verdict)]
        wrong = f", {check.wrong:,} wrong" if check.wrong else ""
        detail = f"  {escape(check.detail)}" if check.detail else ""
        to.print(
            f"  [{style}]{check.verdict:9}[/] {check.name:16} {check.compared:>10,} compared{wrong}{detail}"
        )
        if check.first_difference:
            _print_difference(check.first_difference, to)
    for note in verdict.notes:
        to.print(f"  [dim]{escape(note)}[/]")


def _print_difference(difference: Difference, to: Console) -> None:
    where = f" (event {difference.event:,})" if difference.event is not None else ""
    to.print(f"    first difference{where}: {escape(difference.summary)}")
    for side in ("model", "kernel"):
        for line in getattr(difference, side):
            to.print(f"      {side:6} {escape(line)}", soft_wrap=True)
