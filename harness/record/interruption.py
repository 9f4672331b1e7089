# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a run may be interrupted: at workloads and judgements, at nothing that makes or undoes things.

An exception from a signal handler can strike between any two steps. Between a step and the note of what must
be undone after it, that leaves something behind; so signals wait there.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupted", "interruptible", "interruptions_held", "let_in", "uninterruptible"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The run was asked to stop by a signal. No Exception, which is caught here and there and lived with."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


class _Gate:
    """Lets the first signal in where it is open; later ones change nothing."""

    def __init__(self) -> None:
        self.open = False
        self.came: int | None = None

    def handle(self, number: int, _frame: FrameType | None = None) -> None:
        first = self.came is None
        self.came = self.came or number
        if self.open and first:
            raise Interrupted(number)

    def check(self) -> None:
        if self.came is not None:
            raise Interrupted(self.came)


_gate = _Gate()


@contextmanager
def interruptions_held() -> Iterator[None]:
    """Hold SIGINT, SIGTERM and SIGHUP back until `interruptible`, or the end. For the main thread only."""
    _gate.came = None
    # What our parent had us ignore (nohup, a job in the background) stays ignored.
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _gate.handle) for number in heeded}
    try:
        yield
    except Exception as error:
        # A terminal's Ctrl-C reaches the tools as well: then it is the reason, not the tool that died of it.
        # But what goes wrong after it, when things are undone, has to be told.
        if not _came_after_interruption(error):
            _gate.check()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    _gate.check()


def _came_after_interruption(error: BaseException) -> bool:
    before = error.__cause__ or error.__context__
    return before is not None and (isinstance(before, Interrupted) or _came_after_interruption(before))


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a signal break in, as `Interrupted`: one that waits at once, a second one not at all."""
    _gate.check()
    _gate.open = True
    try:
        yield
    finally:
        _gate.open = False


@contextmanager
def uninterruptible() -> Iterator[None]:
    """Hold signals back for a step whose result has to be noted, in a place that is interruptible else.

    One that comes meanwhile breaks in at the next `let_in`.
    """
    was_open, _gate.open = _gate.open, False
    try:
        yield
    finally:
        _gate.open = was_open


def let_in() -> None:
    """Let a signal break in that came while it was held back, if this place is interruptible."""
    if _gate.open:
        _gate.check()
