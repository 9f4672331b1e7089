# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person watching a run sees."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from harness.cases import Case
from harness.verdicts import CaseVerdict

__all__ = ["STYLES", "ConsoleObserver", "console"]

STYLES = {"PASS": "green", "FAIL": "bold red", "UNDECIDED": "yellow", "SKIP": "dim"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Go on in silence: who stops reading (`| head`) has not stopped the run, nor changed its outcome."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console() -> Console:
    """Return the console for people; it leaves out colour and animation when it is no terminal."""
    return _Console(highlight=False)


class ConsoleObserver:
    """Shows the case under way, and one line for each that ended."""

    def __init__(self, to: Console, cases: int) -> None:
        self._console = to
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=to,
            transient=True,
            disable=not to.is_terminal,
        )
        self._task = self._progress.add_task("setting up", total=cases)

    def __enter__(self) -> ConsoleObserver:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the progress display away."""
        self._progress.stop()

    def begin(self, case: Case) -> None:
        """See `harness.runner.Observer`."""
        self._progress.update(self._task, description=f"{case.id}: recording")

    def judging(self, case: Case) -> None:
        """See `harness.runner.Observer`."""
        self._progress.update(self._task, description=f"{case.id}: judging")

    def end(self, case: Case, verdict: CaseVerdict, wall_s: float) -> None:
        """See `harness.runner.Observer`."""
        self._progress.advance(self._task)
        word = str(verdict.verdict)
        self._console.print(
            f"[{STYLES[word]}]{word:9}[/] {case.id:44} {verdict.events:>9,} events {wall_s:6.1f} s"
        )
