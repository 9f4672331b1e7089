# SPDX-License-Identifier: GPL-2.0-or-later
"""A solid-state disk in virtual time."""

from __future__ import annotations

from collections import deque
from heapq import heapify, heapreplace

from reference.disks.constants import SsdConstants
from reference.disks.disk import Served
from reference.disks.mechanism import Way

__all__ = ["SolidStateDisk"]


class SolidStateDisk:
    """Reads flash in several channels at a time, and hands over one request after the other.

    First come, first served: whatever channel is free takes the next request, wherever its data are. As all
    take the same time in the flash, they leave it in the order in which they came, and all is known when a
    request comes.

    >>> from reference.disks import SATA_SSD_2011
    >>> disk = SolidStateDisk(SATA_SSD_2011)
    >>> for byte in (0, 4096):
    ...     disk.submit(0, byte, 4096, tag=byte)
    >>> [disk.complete().ended_ns for _ in range(2)]
    [75016, 100332]
    """

    def __init__(self, constants: SsdConstants, queue_depth: int | None = None) -> None:
        self.constants = constants
        self.queue_depth = constants.queue_depth if queue_depth is None else queue_depth
        if self.queue_depth < 1:
            raise ValueError(f"a disk takes one request at a time at least, not {self.queue_depth}")
        self.trace: list[Served] = []
        self.submitted = 0
        """Requests that there were."""
        self.coming: deque[Served] = deque()
        """What will be done, in that order."""
        self._ends = deque([0] * self.queue_depth, self.queue_depth)
        """When the last requests are done: a disk that is full takes the next when the first of these is."""
        self._channels = [0] * constants.channels
        """When each channel is free, a heap."""
        heapify(self._channels)
        self._bus_free_ns = 0

    def submit(self, now_ns: int, byte: int, nbytes: int, tag: int) -> None:
        """Ask for a read (`Disk`)."""
        constants = self.constants
        if byte < 0 or nbytes < 1 or byte + nbytes > constants.capacity:
            raise ValueError(f"{nbytes} bytes at {byte} are not on {constants.name}: enlarge the disk")
        started_ns = max(now_ns, self._ends[0], self._channels[0])
        read_ns = started_ns + constants.flash_ns
        heapreplace(self._channels, read_ns)
        transfer_ns = max(constants.command_ns, nbytes * 1_000_000_000 // constants.bus_bytes_per_s)
        ended_ns = max(read_ns, self._bus_free_ns) + transfer_ns
        self._bus_free_ns = ended_ns
        self._ends.append(ended_ns)
        self.coming.append(Served(self.submitted, tag, byte, nbytes, now_ns, started_ns, ended_ns, Way.MEDIA))
        self.submitted += 1

    def due(self) -> int | None:
        """Return when the next request will be done (`Disk`)."""
        return self.coming[0].ended_ns if self.coming else None

    def complete(self) -> Served:
        """End the next request (`Disk`)."""
        served = self.coming.popleft()
        self.trace.append(served)
        return served
