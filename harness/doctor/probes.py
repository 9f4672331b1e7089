# SPDX-License-Identifier: GPL-2.0-or-later
"""A probe: one thing that iodiff may need, tried out under a deadline."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from loopdevs import LoopdevsError

__all__ = ["Attempt", "DeadlineError", "MissingError", "Probe", "deadline"]


@dataclass(frozen=True)
class Probe:
    """What one attempt found."""

    name: str
    ok: bool
    found: str
    """What is there: a version, a size, a count; empty when it is not."""
    reason: str
    """Why it is not ok; empty when it is."""
    remedy: str
    """What to do about it; empty when it is ok or nothing can be done."""
    costs: str
    """The parts of the product that need it."""


class MissingError(Exception):
    """Something is not there, or does not work: the reason, and what to do about it."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason = reason
        self.remedy = remedy


class DeadlineError(Exception):
    """Something took too long. Not an OSError, which those who clean up may take for one of theirs."""


@dataclass(frozen=True)
class Attempt:
    """A probe before it is made."""

    name: str
    try_it: Callable[[], str]
    """Returns what was found; raises MissingError, or whatever the operation itself raises."""
    costs: str
    """The parts of the product that need it."""
    remedy: str = ""
    """What to do when the operation itself fails."""
    deadline_s: float = 10.0
    """After this long it counts as failed, s."""

    def probe(self) -> Probe:
        """Try it. Nothing but a bug gets out as an exception."""
        try:
            with deadline(self.deadline_s):
                return Probe(self.name, True, self.try_it(), "", "", self.costs)
        except MissingError as error:
            return self._failed(error.reason, error.remedy)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return self._failed(f"{where}{error.strerror or error}", self.remedy)
        except (DeadlineError, LoopdevsError, subprocess.SubprocessError) as error:
            return self._failed(str(error), self.remedy)

    def _failed(self, reason: str, remedy: str) -> Probe:
        return Probe(self.name, False, "", reason, remedy, self.costs)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise DeadlineError in the block after `seconds`; for the main thread only.

    A signal reaches into a system call that hangs, and what the block has made is undone on the way out.
    """

    def expire(_number: int, _frame: FrameType | None) -> None:
        raise DeadlineError(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
