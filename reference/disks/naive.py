# SPDX-License-Identifier: GPL-2.0-or-later
"""Rotational disks said in the plainest way: a time for each byte, a list of all requests, no short cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reference.disks.mechanism import Access, Way
from reference.disks.queues import Policy
from reference.disks.timing import (
    Geometry,
    bus_ns,
    mechanical_end_ns,
    move_ns,
    rotation_ns,
    track_of,
    zone_of,
)

__all__ = ["Arrival", "NaiveMechanism", "naive_disk"]


@dataclass
class _Piece:
    """A segment: when each of its bytes is there, up to where it is to be read."""

    since_ns: int
    first_read_on: int
    growing: bool
    kept_from: int
    there: dict[int, int] = field(default_factory=dict)

    @property
    def limit(self) -> int:
        return max(self.there) + 1

    def has(self, byte: int, nbytes: int, at_ns: int) -> bool:
        return byte >= self.kept_from and all(
            number in self.there and self.there[number] <= at_ns for number in range(byte, byte + nbytes)
        )

    def last(self, at_ns: int) -> int:
        return max(number for number, time_ns in self.there.items() if time_ns <= at_ns)


class NaiveMechanism:
    """What `Mechanism` does when it reads."""

    def __init__(self, geometry: Geometry, segments: int) -> None:
        self.geometry = geometry
        self.segments = segments
        self.pieces: list[_Piece] = []
        self.arm_byte = 0

    def copy(self) -> NaiveMechanism:
        """Return one like it, to try something on."""
        other = NaiveMechanism(self.geometry, self.segments)
        other.arm_byte = self.arm_byte
        other.pieces = [
            _Piece(p.since_ns, p.first_read_on, p.growing, p.kept_from, dict(p.there)) for p in self.pieces
        ]
        return other

    def read(self, now_ns: int, byte: int, nbytes: int) -> Access:
        """Read, beginning now."""
        at_ns = now_ns + self.geometry.overhead_ns
        delivered_ns = at_ns + bus_ns(self.geometry, nbytes)
        newest = self.pieces[-1] if self.pieces and self.pieces[-1].growing else None
        ours = newest is not None and newest.kept_from <= byte < newest.limit
        if any(piece.has(byte, nbytes, at_ns) for piece in self.pieces):
            access = Access(delivered_ns, Way.MEMORY)
        elif newest and ours and byte <= newest.last(at_ns) + 1 and byte + nbytes <= newest.limit:
            access = Access(max(delivered_ns, newest.there[byte + nbytes - 1]), Way.STREAM)
        else:
            return self._from_media(at_ns, byte, nbytes)
        if newest and ours:
            self._prolong(newest, at_ns, byte, byte + nbytes)
        return access

    def _from_media(self, at_ns: int, byte: int, nbytes: int) -> Access:
        if self.pieces and self.pieces[-1].growing:
            newest = self.pieces[-1]
            self.arm_byte = newest.last(at_ns)
            newest.growing = False
            newest.there = {number: time for number, time in newest.there.items() if time <= at_ns}
        end_ns = mechanical_end_ns(self.geometry, at_ns, track_of(self.geometry, self.arm_byte), byte, nbytes)
        self.arm_byte = byte + nbytes - 1
        if self.segments:
            piece = _Piece(end_ns, byte + nbytes, True, byte, dict.fromkeys(range(byte, byte + nbytes), 0))
            self._read_on_to(piece, byte + nbytes + self.geometry.read_ahead)
            self.pieces = [*self.pieces, piece][-self.segments :]
        return Access(end_ns, Way.MEDIA)

    def _read_on_to(self, piece: _Piece, limit: int) -> None:
        g = self.geometry
        per_track = g.zone_track_bytes[zone_of(g, piece.first_read_on)]
        for number in range(piece.limit, min(limit, g.capacity)):
            turned = (number + 1 - piece.first_read_on) * (g.revolution_ns + g.switch_ns)
            piece.there[number] = piece.since_ns - (-turned // per_track)

    def _prolong(self, piece: _Piece, at_ns: int, byte: int, asked: int) -> None:
        g, limit = self.geometry, piece.limit
        stopped = piece.last(at_ns) == limit - 1
        if stopped and limit < min(asked + g.read_ahead, g.capacity) and limit - asked < g.read_ahead / 2:
            there_ns = at_ns + move_ns(g, track_of(g, limit - 1), track_of(g, limit))
            piece.since_ns = there_ns + rotation_ns(g, there_ns, limit)
            piece.first_read_on = limit
            self._read_on_to(piece, asked + g.read_ahead)
        elif not stopped:
            self._read_on_to(piece, asked + g.read_ahead)
        piece.kept_from = max(piece.kept_from, min(byte, asked - g.read_ahead))


class Arrival(NamedTuple):
    """A request to come."""

    at_ns: int
    byte: int
    nbytes: int


def naive_disk(
    mechanism: NaiveMechanism, arrivals: Sequence[Arrival], host: Policy, drive: Policy, depth: int
) -> list[tuple[int, int, int]]:
    """Serve `arrivals`, in order of time; return the number of each, when it began and when it was done.

    What is done at the time at which another comes is done first.
    """
    in_host: list[int] = []
    in_drive: list[int] = []
    serving: list[tuple[int, int, int]] = []
    done: list[tuple[int, int, int]] = []
    given_behind = served_behind = coming = 0

    def following(numbers: list[int], behind: int) -> int:
        by_place = sorted(numbers, key=lambda number: (arrivals[number].byte, number))
        return next((number for number in by_place if arrivals[number].byte >= behind), by_place[0])

    def soonest(now_ns: int) -> int:
        reads = {n: mechanism.copy().read(now_ns, arrivals[n].byte, arrivals[n].nbytes) for n in in_drive}
        return min(in_drive, key=lambda number: (reads[number].end_ns, number))

    while len(done) < len(arrivals):
        if serving and (coming == len(arrivals) or serving[0][2] <= arrivals[coming].at_ns):
            now_ns = serving[0][2]
            done.append(serving.pop())
            served_behind = arrivals[done[-1][0]].byte + arrivals[done[-1][0]].nbytes
        else:
            now_ns = arrivals[coming].at_ns
            in_host.append(coming)
            coming += 1
        while in_host and len(in_drive) + len(serving) < depth:
            given = in_host[0] if host is Policy.FIFO else following(in_host, given_behind)
            given_behind = arrivals[given].byte + arrivals[given].nbytes
            in_host.remove(given)
            in_drive.append(given)
        if in_drive and not serving:
            orders = {
                Policy.FIFO: min(in_drive),
                Policy.C_LOOK: following(in_drive, served_behind),
                Policy.SHORTEST: soonest(now_ns),
            }
            picked = orders[drive]
            in_drive.remove(picked)
            end_ns = mechanism.read(now_ns, arrivals[picked].byte, arrivals[picked].nbytes).end_ns
            serving.append((picked, now_ns, end_ns))
    return done
