# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk of the model kept running in real time: who submits a request is told when it would be done.

Only the times are the disk's; the data go elsewhere. The disk sees requests at the times at which they came,
and that somebody was told late does not delay it: given the same arrivals, a disk in virtual time does the
same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from loopdevs.rotational.clock import DiskClock, wake_this_thread_on_time
from loopdevs.rotational.served import ServedRequest
from reference.disks import RotationalDisk

__all__ = ["Spindle"]


class _Waiting(NamedTuple):
    write: bool
    done: Callable[[], None]


class Spindle:
    """A disk in real time, switched on when this is made."""

    def __init__(self, disk: RotationalDisk, scale: float, note: Callable[[ServedRequest], None]) -> None:
        """`scale` seconds pass in one of the disk's; `note` is called for each request that is done."""
        self._disk = disk
        self._note = note
        self._clock = DiskClock(scale)
        self._changed = threading.Condition()
        self._waiting: dict[int, _Waiting] = {}
        self._submitted = 0
        self._hurried = False
        threading.Thread(target=self._run, daemon=True).start()

    def submit(self, byte: int, nbytes: int, *, write: bool, done: Callable[[], None]) -> None:
        """Have `done` called, in whatever thread, when the disk has done this; it must not block."""
        with self._changed:
            if self._hurried:
                done()
                return
            now = self._clock.now()
            # What was due before comes before.
            self._complete(now)
            self._submitted += 1
            self._waiting[self._submitted] = _Waiting(write, done)
            self._disk.submit(now, byte, nbytes, self._submitted, write)
            self._changed.notify()

    def begin(self, byte: int, nbytes: int, *, write: bool) -> Callable[[], None]:
        """Submit, and return what to call to wait until it is done."""
        held = threading.Lock()
        held.acquire()
        self.submit(byte, nbytes, write=write, done=held.release)

        def wait() -> None:
            held.acquire()

        return wait

    def hurry(self) -> None:
        """Let all that waits and all that comes be done at once, without the disk, until `keep_time`."""
        with self._changed:
            self._hurried = True
            while self._disk.due() is not None:
                self._disk.complete()
            self._disk.trace.clear()
            for waiting in self._waiting.values():
                waiting.done()
            self._waiting.clear()
            self._changed.notify()

    def keep_time(self) -> None:
        """Let what comes from now on take its time again."""
        with self._changed:
            self._hurried = False

    def _run(self) -> None:
        wake_this_thread_on_time()
        with self._changed:
            while True:
                due = self._disk.due()
                if due is None:
                    self._changed.wait()
                elif self._clock.wait_until(due, self._changed):
                    self._complete(due)

    def _complete(self, until_ns: int) -> None:
        """Tell those whose requests are done by then."""
        while (due := self._disk.due()) is not None and due <= until_ns:
            served = self._disk.complete()
            self._disk.trace.clear()
            write, done = self._waiting.pop(served.tag)
            done()
            times = served.submitted_ns, served.started_ns, served.ended_ns, self._clock.now()
            self._note(ServedRequest(served.tag, *times, served.byte, served.nbytes, write))
