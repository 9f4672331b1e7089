# SPDX-License-Identifier: GPL-2.0-or-later
"""Arm, platters and memory of a rotational disk: what one command after the other takes.

The disk keeps what it read in segments, the oldest of which makes room for the next. Behind the newest it
reads on until a command needs the arm elsewhere. So there are three ways to a block: it is in memory; it is
about to be, because the disk reads there; or the arm must move. No scheduling here, and no clock: the caller
says what time it is, and asks in the order of time.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from reference.disks.timing import (
    Geometry,
    bus_ns,
    frontier,
    mechanical_end_ns,
    reached_ns,
    track_of,
)

__all__ = ["Access", "Mechanism", "Way"]


class Way(Enum):
    """How a command was served."""

    MEMORY = "memory"
    """It had been read before."""
    STREAM = "stream"
    """The disk was reading on and came by."""
    MEDIA = "media"
    """The arm went there."""


class Access(NamedTuple):
    """What a command would take."""

    end_ns: int
    way: Way


class Mechanism:
    """One arm, which serves one command at a time.

    >>> from reference.disks import SATA_7200_2011
    >>> disk = Mechanism(SATA_7200_2011.geometry(), segments=16)
    >>> [disk.read(now, byte, 16384) for now, byte in [(0, 10**12), (20_000_000, 10**12 + 16384)]]
    [Access(end_ns=18418459, way=<Way.MEDIA: 'media'>), Access(end_ns=20254613, way=<Way.MEMORY: 'memory'>)]
    """

    def __init__(self, geometry: Geometry, segments: int) -> None:
        self.geometry = geometry
        self.segments = segments
        """How many pieces of what was read are kept."""
        self.kept: list[tuple[int, int]] = []
        """First byte and the one behind the last of each segment, oldest first."""
        self.reads_on_since_ns: int | None = None
        """Since when the disk reads on behind the newest segment; None if it does not."""
        self.arm_byte = 0
        """The last byte that was asked of the media."""

    def behind(self, at_ns: int) -> int:
        """Return the byte behind all that the newest segment has at `at_ns`; there must be one."""
        end = self.kept[-1][1]
        return (
            end
            if self.reads_on_since_ns is None
            else frontier(self.geometry, self.reads_on_since_ns, end, at_ns)
        )

    def arm_track(self, at_ns: int) -> int:
        """Return over which track the arm is."""
        byte = self.arm_byte if self.reads_on_since_ns is None else self.behind(at_ns) - 1
        return track_of(self.geometry, byte)

    def access(self, now_ns: int, byte: int, nbytes: int) -> Access:
        """Return what reading would take from now on; nothing changes."""
        at_ns = now_ns + self.geometry.overhead_ns
        delivered_ns = at_ns + bus_ns(self.geometry, nbytes)
        if self._in_memory(at_ns, byte, nbytes):
            return Access(delivered_ns, Way.MEMORY)
        if self._comes_by(at_ns, byte, nbytes):
            assert self.reads_on_since_ns is not None
            read_ns = reached_ns(self.geometry, self.reads_on_since_ns, self.kept[-1][1], byte + nbytes)
            return Access(max(delivered_ns, read_ns), Way.STREAM)
        return Access(mechanical_end_ns(self.geometry, at_ns, self.arm_track(at_ns), byte, nbytes), Way.MEDIA)

    def read(self, now_ns: int, byte: int, nbytes: int) -> Access:
        """Read, beginning now, and return what it takes."""
        access = self.access(now_ns, byte, nbytes)
        if access.way is Way.MEDIA:
            self._stop_reading_on(now_ns)
            self.arm_byte = byte + nbytes - 1
            self.kept.append((byte, byte + nbytes))
            self.reads_on_since_ns = access.end_ns
            if len(self.kept) > self.segments:
                del self.kept[0]
            if not self.kept:
                self.reads_on_since_ns = None
        return access

    def write(self, now_ns: int, byte: int, nbytes: int) -> Access:
        """Write through to the media, beginning now; what was kept of these bytes is dropped."""
        at_ns = now_ns + self.geometry.overhead_ns
        end_ns = mechanical_end_ns(self.geometry, at_ns, self.arm_track(at_ns), byte, nbytes)
        self._stop_reading_on(now_ns)
        self.arm_byte = byte + nbytes - 1
        self.kept = [piece for piece in self.kept if piece[1] <= byte or piece[0] >= byte + nbytes]
        return Access(end_ns, Way.MEDIA)

    def _in_memory(self, at_ns: int, byte: int, nbytes: int) -> bool:
        if any(start <= byte and byte + nbytes <= end for start, end in self.kept):
            return True
        return bool(self.kept) and self.kept[-1][0] <= byte and byte + nbytes <= self.behind(at_ns)

    def _comes_by(self, at_ns: int, byte: int, nbytes: int) -> bool:
        if self.reads_on_since_ns is None:
            return False
        start, end = self.kept[-1]
        last = min(end + self.geometry.read_ahead, self.geometry.capacity)
        return start <= byte <= self.behind(at_ns) and byte + nbytes <= last

    def _stop_reading_on(self, now_ns: int) -> None:
        if self.reads_on_since_ns is not None:
            at_ns = now_ns + self.geometry.overhead_ns
            self.kept[-1] = (self.kept[-1][0], self.behind(at_ns))
            self.reads_on_since_ns = None
