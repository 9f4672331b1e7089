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
    move_ns,
    reached_ns,
    rotation_ns,
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
        """Since when, or from when on, it reads on behind the newest segment; None if it does not."""
        self.limit = 0
        """Where it is to stop reading on; it stays there."""
        self.arm_byte = 0
        """The last byte that was asked of the media."""

    def behind(self, at_ns: int) -> int:
        """Return the byte behind all that the newest segment has at `at_ns`; there must be one."""
        end = self.kept[-1][1]
        if self.reads_on_since_ns is None:
            return end
        return frontier(self.geometry, self.reads_on_since_ns, end, self.limit, at_ns)

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
        end_ns = mechanical_end_ns(self.geometry, at_ns, self.arm_track(at_ns), byte, nbytes)
        return Access(end_ns, Way.MEDIA)

    def read(self, now_ns: int, byte: int, nbytes: int) -> Access:
        """Read, beginning now, and return what it takes."""
        access = self.access(now_ns, byte, nbytes)
        at_ns = now_ns + self.geometry.overhead_ns
        if access.way is Way.MEDIA:
            self._stop_reading_on(at_ns)
            self._begin_segment(byte, nbytes, access.end_ns)
        elif self.reads_on_since_ns is not None and self.kept[-1][0] <= byte < self.limit:
            self._prolong(at_ns, byte, byte + nbytes)
        return access

    def write(self, now_ns: int, byte: int, nbytes: int) -> Access:
        """Write through to the media, beginning now; segments with any of these bytes are dropped."""
        at_ns = now_ns + self.geometry.overhead_ns
        end_ns = mechanical_end_ns(self.geometry, at_ns, self.arm_track(at_ns), byte, nbytes)
        self._stop_reading_on(at_ns)
        self.arm_byte = byte + nbytes - 1
        self.kept = [piece for piece in self.kept if piece[1] <= byte or piece[0] >= byte + nbytes]
        return Access(end_ns, Way.MEDIA)

    def _in_memory(self, at_ns: int, byte: int, nbytes: int) -> bool:
        if any(start <= byte and byte + nbytes <= end for start, end in self.kept):
            return True
        return bool(self.kept) and self.kept[-1][0] <= byte and byte + nbytes <= self.behind(at_ns)

    def _comes_by(self, at_ns: int, byte: int, nbytes: int) -> bool:
        if self.reads_on_since_ns is None or byte + nbytes > self.limit:
            return False
        return self.kept[-1][0] <= byte <= self.behind(at_ns)

    def _begin_segment(self, byte: int, nbytes: int, end_ns: int) -> None:
        behind = byte + nbytes
        self.arm_byte = behind - 1
        self.kept.append((byte, behind))
        if len(self.kept) > self.segments:
            del self.kept[0]
        if self.kept:
            self.reads_on_since_ns = end_ns
            self.limit = min(behind + self.geometry.read_ahead, self.geometry.capacity)

    def _prolong(self, at_ns: int, byte: int, asked: int) -> None:
        """Read on up to `read_ahead` behind `asked`, and keep no more than that before it.

        A disk that has stopped begins again when half of it is used up. It has to wait for what comes next to
        come round.
        """
        g, (start, end) = self.geometry, self.kept[-1]
        assert self.reads_on_since_ns is not None
        limit = min(asked + g.read_ahead, g.capacity)
        if at_ns < reached_ns(g, self.reads_on_since_ns, end, self.limit):
            self.limit = max(limit, self.limit)
        elif self.limit < limit and 2 * (self.limit - asked) < g.read_ahead:
            there_ns = at_ns + move_ns(g, track_of(g, self.limit - 1), track_of(g, self.limit))
            self.reads_on_since_ns = there_ns + rotation_ns(g, there_ns, self.limit)
            end, self.limit = self.limit, limit
        self.kept[-1] = (max(start, min(byte, asked - g.read_ahead)), end)

    def _stop_reading_on(self, at_ns: int) -> None:
        if self.reads_on_since_ns is not None:
            self.arm_byte = self.behind(at_ns) - 1
            self.kept[-1] = (self.kept[-1][0], self.arm_byte + 1)
            self.reads_on_since_ns = None
