# SPDX-License-Identifier: GPL-2.0-or-later
"""What all disks in virtual time have in common."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from reference.disks.mechanism import Way

__all__ = ["Disk", "Disks", "Served"]


class Served(NamedTuple):
    """A request that was served: a line of a disk's trace."""

    number: int
    tag: int
    byte: int
    nbytes: int
    submitted_ns: int
    started_ns: int
    """When the disk turned to it."""
    ended_ns: int
    way: Way


class Disk(Protocol):
    """A disk in virtual time: the caller says what time it is, and never goes back."""

    trace: list[Served]
    """All that was served, in the order in which it was done."""
    queue_depth: int
    """Requests that the disk itself takes at a time; others wait in the host."""

    def submit(self, now_ns: int, byte: int, nbytes: int, tag: int) -> None:
        """Ask for a read; ValueError if that is not on the disk."""

    def due(self) -> int | None:
        """Return when the next request will be done; None if there is none."""

    def complete(self) -> Served:
        """Let time come to `due()`, and return what is done then; there must be something."""


class Disks:
    """Several disks, by devid."""

    def __init__(self, disks: dict[int, Disk]) -> None:
        self.disks = disks

    def submit(self, devid: int, now_ns: int, byte: int, nbytes: int, tag: int) -> None:
        """Ask a disk for a read."""
        self.disks[devid].submit(now_ns, byte, nbytes, tag)

    def next(self) -> tuple[int, int] | None:
        """Return when and on which disk a request is done next; of equal times, that of the least devid."""
        dues = [(due, devid) for devid, disk in self.disks.items() if (due := disk.due()) is not None]
        return min(dues, default=None)

    def complete(self, devid: int) -> Served:
        """Let time come to when `devid` is done with its next request, and return that."""
        return self.disks[devid].complete()
