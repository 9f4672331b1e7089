# SPDX-License-Identifier: GPL-2.0-or-later
"""Telling the process that is a disk to take no time any more."""

from __future__ import annotations

import signal
from pathlib import Path

from loopdevs.deadline import Deadline
from loopdevs.journal import ServerEntry
from loopdevs.processes import process, send_signal
from loopdevs.rotational.names import HURRIED, READY

__all__ = ["HURRY", "KEEP_TIME", "hurry", "hurry_or_kill", "keep_time"]

HURRY, KEEP_TIME = signal.SIGUSR1, signal.SIGUSR2
OBEY_DEADLINE_S = 2.0


def hurry(entry: ServerEntry, folder: Path, deadline: Deadline) -> bool:
    """Tell the disk to answer at once from now on; return whether it does, in time."""
    return _tell(entry, HURRY) and deadline.wait((folder / HURRIED).exists)


def keep_time(entry: ServerEntry, folder: Path, deadline: Deadline) -> bool:
    """Tell the disk to answer in its time again; return whether it does, in time."""
    return _tell(entry, KEEP_TIME) and deadline.wait(lambda: not (folder / HURRIED).exists())


def hurry_or_kill(entry: ServerEntry, folder: Path, deadline: Deadline) -> None:
    """Tell the disk, if it is there, to answer at once from now on; one that does not obey is killed.

    What waits for it, the kernel's unmounting above all, would wait for ever.
    """
    ready = (folder / READY).exists()
    if not ready or not hurry(entry, folder, Deadline(min(OBEY_DEADLINE_S, deadline.remaining))):
        _tell(entry, signal.SIGKILL)


def _tell(entry: ServerEntry, number: signal.Signals) -> bool:
    found = process(entry.pid)
    if not found or not found.alive or (found.start_time, found.group) != (entry.start_time, entry.pid):
        return False
    send_signal(found, number)
    return True
