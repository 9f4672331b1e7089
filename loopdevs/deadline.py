# SPDX-License-Identifier: GPL-2.0-or-later
"""One deadline shared by all the waits of an operation."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Deadline", "retry_while_busy"]

T = TypeVar("T")


class Deadline:
    """A point in time `seconds` from now, on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._nap = 0.005

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    def nap(self) -> bool:
        """Sleep a little, longer each time; return False, without sleeping, when no time is left."""
        if not self.remaining:
            return False
        time.sleep(min(self._nap, self.remaining))
        self._nap = min(self._nap * 1.5, 0.25)
        return True

    def wait(self, condition: Callable[[], bool]) -> bool:
        """Wait until `condition()` holds and return True, or return False at the deadline."""
        while not condition():
            if not self.nap():
                return False
        return True


def retry_while_busy(action: Callable[[], T], deadline: Deadline) -> T:
    """Return `action()`, tried again while it raises EBUSY; the last EBUSY is raised at the deadline."""
    while True:
        try:
            return action()
        except OSError as error:
            if error.errno != errno.EBUSY or not deadline.nap():
                raise
