# SPDX-License-Identifier: GPL-2.0-or-later
"""Arm, platters and memory of rotational disks (`reference.disks.mechanism`) in arrays."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from reference.disks import timing
from reference.disks.constants import RotationalConstants
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
from reference.readahead.scale.jit import compiled_part, let_compiled_call

__all__ = ["MEDIA", "MEMORY", "STREAM", "Mechanisms", "access", "make_mechanisms", "position", "read"]

let_compiled_call(*(getattr(timing, name) for name in timing.__all__ if name != "Geometry"))

MEMORY, STREAM, MEDIA = range(3)
"""How a command is served: `reference.disks.Way`, in that order."""

ARM = np.dtype(
    [("reads_on_since_ns", np.int64), ("limit", np.int64), ("arm_byte", np.int64), ("kept", np.int32)]
)
"""`reads_on_since_ns` is -1 when the disk does not read on; `kept` is how many segments there are."""


class Mechanisms(NamedTuple):
    """One for each disk, all of one make."""

    geometry: Geometry
    """With arrays instead of tuples, of which compiled code would make copies."""
    arm: NDArray[Any]
    kept: NDArray[np.int64]
    """By disk and segment, oldest first: first byte, and the one behind the last."""
    nbytes: int
    """Of every read."""


def make_mechanisms(constants: RotationalConstants, disks: int, nbytes: int) -> Mechanisms:
    """Return `disks` disks that have not read anything."""
    geometry = constants.geometry()
    arrays = {
        name: cast("Any", np.array(getattr(geometry, name), np.int64))
        for name in ("zone_byte", "zone_track", "zone_track_bytes")
    }
    arm = np.zeros(disks, ARM)
    arm["reads_on_since_ns"] = -1
    kept = np.zeros((disks, constants.segments + 1, 2), np.int64)
    return Mechanisms(geometry._replace(**arrays), arm, kept, nbytes)


@compiled_part
def position(mechanisms: Mechanisms, disk: int, now_ns: int) -> tuple[int, int]:
    """Return up to where a disk will have read on, and over which track its arm will be, when a command
    that begins now gets at them.
    """
    at_ns = now_ns + mechanisms.geometry.overhead_ns
    behind = _behind(mechanisms, disk, at_ns)
    arm = mechanisms.arm[disk]
    byte = arm.arm_byte if arm.reads_on_since_ns < 0 else behind - 1
    return behind, track_of(mechanisms.geometry, byte)


@compiled_part
def access(
    mechanisms: Mechanisms, disk: int, now_ns: int, where: tuple[int, int], byte: int
) -> tuple[int, int]:
    """Return when a read at `byte` that begins now is over, and how it is served; `where` is `position`."""
    geometry, nbytes = mechanisms.geometry, mechanisms.nbytes
    behind, track = where
    at_ns = now_ns + geometry.overhead_ns
    delivered_ns = at_ns + bus_ns(geometry, nbytes)
    if _in_memory(mechanisms, disk, behind, byte):
        return delivered_ns, MEMORY
    arm = mechanisms.arm[disk]
    if arm.reads_on_since_ns >= 0 and byte + nbytes <= arm.limit:
        start, end = mechanisms.kept[disk, arm.kept - 1]
        if start <= byte <= behind:
            read_ns = reached_ns(geometry, arm.reads_on_since_ns, end, byte + nbytes)
            return max(delivered_ns, read_ns), STREAM
    return mechanical_end_ns(geometry, at_ns, track, byte, nbytes), MEDIA


@compiled_part
def read(mechanisms: Mechanisms, disk: int, now_ns: int, byte: int) -> tuple[int, int]:
    """Read at `byte`, beginning now; return when that is over and how it is served."""
    where = position(mechanisms, disk, now_ns)
    end_ns, way = access(mechanisms, disk, now_ns, where, byte)
    arm = mechanisms.arm[disk]
    if way == MEDIA:
        _stop_reading_on(mechanisms, disk, where[0])
        _begin_segment(mechanisms, disk, byte, end_ns)
    elif arm.reads_on_since_ns >= 0 and mechanisms.kept[disk, arm.kept - 1, 0] <= byte < arm.limit:
        _prolong(mechanisms, disk, now_ns + mechanisms.geometry.overhead_ns, byte)
    return end_ns, way


@compiled_part
def _behind(mechanisms: Mechanisms, disk: int, at_ns: int) -> int:
    """Return the byte behind all that the newest segment has at `at_ns`; 0 if there is none."""
    arm = mechanisms.arm[disk]
    if arm.kept == 0:
        return 0
    end = mechanisms.kept[disk, arm.kept - 1, 1]
    if arm.reads_on_since_ns < 0:
        return int(end)
    return frontier(mechanisms.geometry, arm.reads_on_since_ns, end, arm.limit, at_ns)


@compiled_part
def _in_memory(mechanisms: Mechanisms, disk: int, behind: int, byte: int) -> bool:
    last, newest = byte + mechanisms.nbytes, mechanisms.arm[disk].kept - 1
    for segment in range(newest):
        if mechanisms.kept[disk, segment, 0] <= byte and last <= mechanisms.kept[disk, segment, 1]:
            return True
    return bool(newest >= 0 and mechanisms.kept[disk, newest, 0] <= byte and last <= behind)


@compiled_part
def _begin_segment(mechanisms: Mechanisms, disk: int, byte: int, end_ns: int) -> None:
    """Keep what is read, for which the oldest segment may have to go."""
    geometry, arm, kept = mechanisms.geometry, mechanisms.arm[disk], mechanisms.kept[disk]
    behind = byte + mechanisms.nbytes
    arm.arm_byte = behind - 1
    kept[arm.kept, 0] = byte
    kept[arm.kept, 1] = behind
    arm.kept += 1
    if arm.kept == len(kept):
        for segment in range(1, arm.kept):
            kept[segment - 1, 0] = kept[segment, 0]
            kept[segment - 1, 1] = kept[segment, 1]
        arm.kept -= 1
    if arm.kept:
        arm.reads_on_since_ns = end_ns
        arm.limit = min(behind + geometry.read_ahead, geometry.capacity)


@compiled_part
def _prolong(mechanisms: Mechanisms, disk: int, at_ns: int, byte: int) -> None:
    """Read on up to `read_ahead` behind the read at `byte`, and keep no more than that before its end."""
    g, arm = mechanisms.geometry, mechanisms.arm[disk]
    start, end = mechanisms.kept[disk, arm.kept - 1]
    asked = byte + mechanisms.nbytes
    limit = min(asked + g.read_ahead, g.capacity)
    if at_ns < reached_ns(g, arm.reads_on_since_ns, end, arm.limit):
        arm.limit = max(limit, arm.limit)
    elif arm.limit < limit and 2 * (arm.limit - asked) < g.read_ahead:
        there_ns = at_ns + move_ns(g, track_of(g, arm.limit - 1), track_of(g, arm.limit))
        arm.reads_on_since_ns = there_ns + rotation_ns(g, there_ns, arm.limit)
        end, arm.limit = arm.limit, limit
    mechanisms.kept[disk, arm.kept - 1, 0] = max(start, min(byte, asked - g.read_ahead))
    mechanisms.kept[disk, arm.kept - 1, 1] = end


@compiled_part
def _stop_reading_on(mechanisms: Mechanisms, disk: int, behind: int) -> None:
    arm = mechanisms.arm[disk]
    if arm.reads_on_since_ns >= 0:
        arm.arm_byte = behind - 1
        mechanisms.kept[disk, arm.kept - 1, 1] = behind
        arm.reads_on_since_ns = -1
