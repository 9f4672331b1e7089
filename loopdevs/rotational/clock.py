# SPDX-License-Identifier: GPL-2.0-or-later
"""The time of a disk that runs along with ours, faster or slower, and waiting for a point of it.

The system wakes a sleeper some 60 us too late. So a wait sleeps up to where it is usually woken in time, and
only the rest, as short as that, is spent looking at the clock.
"""

from __future__ import annotations

import ctypes
import threading
import time

__all__ = ["DiskClock", "wake_this_thread_on_time"]

PR_SET_TIMERSLACK = 29
"""include/uapi/linux/prctl.h; for the calling thread."""
MOST_SPIN_NS = 200_000
"""However late the system wakes us: two CPUs are to do for seven disks."""


class DiskClock:
    """Nanoseconds of the disk, from 0 at the beginning; `scale` of ours pass in one of its."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._origin = time.monotonic_ns()
        self._late_ns = 60_000.0

    def now(self) -> int:
        """Return the disk's time, ns."""
        return int((time.monotonic_ns() - self._origin) / self._scale)

    def wait_until(self, disk_ns: int, changed: threading.Condition) -> bool:
        """Wait for that time and return True, or False as soon as `changed`, which is held, is notified."""
        due = self._origin + int(disk_ns * self._scale)
        wake = due - min(int(self._late_ns), MOST_SPIN_NS)
        if (remaining := wake - time.monotonic_ns()) > 0:
            if changed.wait(remaining / 1e9):
                return False
            self._late_ns += (time.monotonic_ns() - wake - self._late_ns) / 16
        while time.monotonic_ns() < due:
            pass
        return True


def wake_this_thread_on_time() -> None:
    """Have the system not put off the waking of this thread, which it does by 50 us to save energy."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
