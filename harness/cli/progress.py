# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person watching a run sees."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from harness.cases import Case
from harness.kernels import HOST, Kernel
from harness.run import Observer, RunPlan
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


class ConsoleObserver(Observer):
    """Shows the case under way on each kernel, and one line for each that ended."""

    def __init__(self, to: Console, plan: RunPlan) -> None:
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
        self._tasks = {
            k.label: self._progress.add_task(_title(k, "waiting"), total=len(plan.trials(k)), start=False)
            for k in plan.kernels
        }
        self._guests = any(k.name != HOST for k in plan.kernels)
        self._names = max(len(trial.case.id) for k in plan.kernels for trial in plan.trials(k))
        self._width = max(len(k.label) for k in plan.kernels)

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

    def boot(self, kernel: Kernel) -> None:
        """See `harness.run.Observer`."""
        self._show(kernel, "booting")

    def begin(self, kernel: Kernel, case: Case) -> None:
        """See `harness.run.Observer`."""
        self._show(kernel, f"{case.id}: recording")

    def judging(self, kernel: Kernel, case: Case) -> None:
        """See `harness.run.Observer`."""
        self._show(kernel, f"{case.id}: judging")

    def end(self, kernel: Kernel, case: Case, verdict: CaseVerdict, wall_s: float) -> None:
        """See `harness.run.Observer`."""
        self._progress.advance(self._tasks[kernel.label])
        word = str(verdict.verdict)
        where = f"{kernel.label:{self._width}} " if self._guests else ""
        self._console.print(
            f"[{STYLES[word]}]{word:9}[/] {where}{case.id:{self._names}}"
            f" {verdict.events:>9,} events {wall_s:6.1f} s",
            soft_wrap=True,
        )

    def kept(self, kernel: Kernel, ways_in: Sequence[str]) -> None:
        """See `harness.run.Observer`."""
        for line in (f"{kernel.label}: the guest is kept until Ctrl-C", *ways_in):
            self._console.print(line, soft_wrap=True)

    def done(self, kernel: Kernel, lost: str | None) -> None:
        """See `harness.run.Observer`."""
        self._progress.remove_task(self._tasks[kernel.label])
        if lost:
            self._console.print(
                f"[{STYLES['UNDECIDED']}]LOST[/]      {kernel.label}: {escape(lost)}", soft_wrap=True
            )

    def _show(self, kernel: Kernel, what: str) -> None:
        task = self._tasks[kernel.label]
        self._progress.start_task(task)
        self._progress.update(task, description=_title(kernel, what))


def _title(kernel: Kernel, what: str) -> str:
    return what if kernel.name == HOST else f"{kernel.label}: {what}"
