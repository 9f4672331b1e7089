# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a rotational disk takes: functions of plain numbers, which a compiler can take as they are.

All times are whole nanoseconds, all places bytes from the disk's start, all angles the nanoseconds of a
revolution that pass before they come under the heads, counted from time 0. The number of a track is that of
its cylinder times the heads, plus that of its head. Bytes run along a track, then along the next of the same
cylinder, then on to the next cylinder, inwards. Each track begins later than the one before by the time it
takes to change over (skew), so what is read in one go waits for no revolution.

Numba compiles all of this: a `Geometry` is a named tuple of numbers and of tuples of numbers of one type.
Neither side rounds differently: the only real arithmetic, in `seek_ns`, is a root, two products and two sums.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

__all__ = [
    "Geometry",
    "angle_ns",
    "bus_ns",
    "frontier",
    "mechanical_end_ns",
    "move_ns",
    "reached_ns",
    "rotation_ns",
    "seek_ns",
    "track_of",
    "transfer_ns",
    "zone_of",
]


class Geometry(NamedTuple):
    """A rotational disk in numbers (made by `RotationalConstants.geometry`)."""

    capacity: int
    """Bytes; the last track may be cut."""
    heads: int
    revolution_ns: int
    switch_ns: int
    """To the next track, of the same cylinder or of the next."""
    overhead_ns: int
    """Of each command, before anything moves."""
    seek_first_ns: float
    """To the next cylinder."""
    seek_root_ns: float
    """What the root of the further distance, in cylinders, is multiplied by."""
    seek_linear_ns: float
    """What the further distance, in cylinders, is multiplied by."""
    bus_bytes_per_s: int
    """From the disk's memory to the host."""
    read_ahead: int
    """How far the disk reads on into its memory behind what was asked for, bytes."""
    zone_byte: tuple[int, ...]
    """Where each zone begins, outermost first."""
    zone_track: tuple[int, ...]
    """The first track of each zone."""
    zone_track_bytes: tuple[int, ...]
    """How much a track of each zone holds."""


def seek_ns(g: Geometry, distance: int) -> int:
    """Return how long the arm takes over `distance` cylinders.

    Lee and Katz, "An Analytic Performance Model of Disk Arrays" (SIGMETRICS 1993): a constant, a root for
    speeding up and slowing down, and a linear part for the way between.
    """
    if distance == 0:
        return 0
    further = distance - 1
    return int(g.seek_first_ns + g.seek_root_ns * sqrt(further) + g.seek_linear_ns * further)


def move_ns(g: Geometry, from_track: int, to_track: int) -> int:
    """Return how long it takes until another track can be read: nothing, a change of heads, or a seek."""
    if from_track == to_track:
        return 0
    distance = abs(to_track // g.heads - from_track // g.heads)
    return seek_ns(g, distance) if distance else g.switch_ns


def zone_of(g: Geometry, byte: int) -> int:
    """Return which zone `byte` is in."""
    low, high = 0, len(g.zone_byte)
    while high - low > 1:
        middle = (low + high) // 2
        if g.zone_byte[middle] <= byte:
            low = middle
        else:
            high = middle
    return low


def track_of(g: Geometry, byte: int) -> int:
    """Return the track that `byte` is on."""
    zone = zone_of(g, byte)
    return g.zone_track[zone] + (byte - g.zone_byte[zone]) // g.zone_track_bytes[zone]


def angle_ns(g: Geometry, byte: int) -> int:
    """Return when, within a revolution, `byte` begins to pass under its head."""
    zone = zone_of(g, byte)
    track, offset = divmod(byte - g.zone_byte[zone], g.zone_track_bytes[zone])
    skew = (g.zone_track[zone] + track) * g.switch_ns
    return (skew + offset * g.revolution_ns // g.zone_track_bytes[zone]) % g.revolution_ns


def rotation_ns(g: Geometry, at_ns: int, byte: int) -> int:
    """Return how long a head that is on the track at `at_ns` waits for `byte`."""
    return (angle_ns(g, byte) - at_ns) % g.revolution_ns


def transfer_ns(g: Geometry, byte: int, nbytes: int) -> int:
    """Return how long it takes to read `nbytes` from where `byte` is under the head.

    All of it is read as fast as the zone of the first byte allows.
    """
    zone = zone_of(g, byte)
    per_track = g.zone_track_bytes[zone]
    tracks = ((byte - g.zone_byte[zone]) % per_track + nbytes - 1) // per_track
    return nbytes * g.revolution_ns // per_track + tracks * g.switch_ns


def mechanical_end_ns(g: Geometry, at_ns: int, from_track: int, byte: int, nbytes: int) -> int:
    """Return when `nbytes` at `byte` have been read by heads that are on `from_track` at `at_ns`."""
    there = at_ns + move_ns(g, from_track, track_of(g, byte))
    return there + rotation_ns(g, there, byte) + transfer_ns(g, byte, nbytes)


def bus_ns(g: Geometry, nbytes: int) -> int:
    """Return how long `nbytes` take from the disk's memory to the host."""
    return nbytes * 1_000_000_000 // g.bus_bytes_per_s


def reached_ns(g: Geometry, since_ns: int, behind: int, byte: int) -> int:
    """Return when a disk that reads from `behind` at `since_ns` has everything before `byte`.

    It changes over to the next track as often as it gets through one, wherever on a track it began.
    """
    per_track = g.zone_track_bytes[zone_of(g, behind)]
    per_turn = g.revolution_ns + g.switch_ns
    return since_ns + ((byte - behind) * per_turn + per_track - 1) // per_track


def frontier(g: Geometry, since_ns: int, behind: int, limit: int, at_ns: int) -> int:
    """Return up to where a disk has got at `at_ns` that reads from `behind` at `since_ns` up to `limit`."""
    if at_ns >= reached_ns(g, since_ns, behind, limit):
        return limit
    per_track = g.zone_track_bytes[zone_of(g, behind)]
    return behind + max(0, at_ns - since_ns) * per_track // (g.revolution_ns + g.switch_ns)
