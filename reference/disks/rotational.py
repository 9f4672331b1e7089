# SPDX-License-Identifier: GPL-2.0-or-later
"""A rotational disk in virtual time, with the host's scheduler in front of it."""

from __future__ import annotations

from bisect import insort

from reference.disks.constants import RotationalConstants
from reference.disks.disk import Served
from reference.disks.mechanism import Access, Mechanism
from reference.disks.queues import Policy, Request, SortedQueue, c_look

__all__ = ["RotationalDisk"]


class RotationalDisk:
    """Serves one request at a time, picked from up to `queue_depth` that it was given.

    The host gives it another as soon as it may. Requests are not merged, nor are they preferred for having
    waited long.

    >>> from reference.disks import SATA_7200_2011
    >>> disk = RotationalDisk(SATA_7200_2011)
    >>> for gigabyte in (1000, 10, 990):
    ...     disk.submit(0, gigabyte * 10**9, 16384, tag=gigabyte)
    >>> [disk.complete().tag for _ in range(3)]
    [1000, 990, 10]
    """

    def __init__(
        self,
        constants: RotationalConstants,
        host: Policy = Policy.C_LOOK,
        drive: Policy = Policy.SHORTEST,
        queue_depth: int | None = None,
    ) -> None:
        self.constants = constants
        self.host = host
        self.drive = drive
        self.queue_depth = constants.queue_depth if queue_depth is None else queue_depth
        """Requests in the disk, the one that it serves included."""
        if self.queue_depth < 1:
            raise ValueError(f"a disk takes one request at a time at least, not {self.queue_depth}")
        self.mechanism = Mechanism(constants.geometry(), constants.segments)
        self.trace: list[Served] = []
        self.submitted = 0
        """Requests that there were."""
        self.in_host = SortedQueue(host)
        self.in_drive: list[Request] = []
        """In the order of place; without the one that is served."""
        self.active: tuple[Request, int, Access] | None = None
        """What is served, since when, and how."""
        self._given_behind = 0
        self._served_behind = 0

    def submit(self, now_ns: int, byte: int, nbytes: int, tag: int) -> None:
        """Ask for a read (`Disk`)."""
        if byte < 0 or nbytes < 1 or byte + nbytes > self.constants.capacity:
            raise ValueError(f"{nbytes} bytes at {byte} are not on {self.constants.name}: enlarge the disk")
        self.in_host.put(Request(byte, self.submitted, nbytes, tag, now_ns))
        self.submitted += 1
        self._go_on(now_ns)

    def due(self) -> int | None:
        """Return when the next request will be done (`Disk`)."""
        return None if self.active is None else self.active[2].end_ns

    def complete(self) -> Served:
        """End what is served, and turn to the next (`Disk`)."""
        assert self.active is not None
        request, started_ns, (end_ns, way) = self.active
        self.active = None
        served = Served(
            request.number,
            request.tag,
            request.byte,
            request.nbytes,
            request.submitted_ns,
            started_ns,
            end_ns,
            way,
        )
        self.trace.append(served)
        self._served_behind = request.byte + request.nbytes
        self._go_on(end_ns)
        return served

    def _go_on(self, now_ns: int) -> None:
        while self.in_host.waiting and len(self.in_drive) + (self.active is not None) < self.queue_depth:
            request = self.in_host.take(self._given_behind)
            self._given_behind = request.byte + request.nbytes
            insort(self.in_drive, request)
        if self.active is None and self.in_drive:
            request = self.in_drive.pop(self._pick(now_ns))
            self.active = (request, now_ns, self.mechanism.read(now_ns, request.byte, request.nbytes))

    def _pick(self, now_ns: int) -> int:
        """Return which request in the disk is served next, of those that are equally good the oldest."""
        if self.drive is Policy.C_LOOK:
            return c_look(self.in_drive, self._served_behind)
        if self.drive is Policy.FIFO:
            ranks = [(request.number, 0) for request in self.in_drive]
        else:
            access = self.mechanism.access
            ranks = [
                (access(now_ns, request.byte, request.nbytes).end_ns, request.number)
                for request in self.in_drive
            ]
        return ranks.index(min(ranks))
