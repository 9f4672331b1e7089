# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of disks share: a disk so small that it can be turned byte by byte."""

from __future__ import annotations

from reference.disks.constants import RotationalConstants
from reference.disks.timing import Geometry

__all__ = ["TOY", "Toy"]

TOY = Geometry(
    capacity=4 * 10 + 4 * 8 + 4 * 5,
    heads=2,
    revolution_ns=1000,
    switch_ns=300,
    overhead_ns=70,
    seek_first_ns=300.0,
    seek_root_ns=0.0,
    seek_linear_ns=50.0,
    bus_bytes_per_s=100_000_000,
    read_ahead=12,
    zone_byte=(0, 40, 72),
    zone_track=(0, 4, 8),
    zone_track_bytes=(10, 8, 5),
)
"""Six cylinders of two tracks in three zones; all times come out whole."""


class Toy(RotationalConstants):
    """The constants of the toy, as far as they are not in its geometry."""

    def __init__(self, segments: int = 2, queue_depth: int = 3) -> None:
        super().__init__(
            name="toy",
            capacity=TOY.capacity,
            heads=TOY.heads,
            rpm=60_000_000,
            track_bytes_outer=512,
            track_bytes_inner=512,
            zones=1,
            seek_single_ns=300,
            seek_average_ns=400,
            seek_full_ns=500,
            overhead_ns=TOY.overhead_ns,
            bus_bytes_per_s=TOY.bus_bytes_per_s,
            read_ahead=TOY.read_ahead,
            segments=segments,
            queue_depth=queue_depth,
        )

    def geometry(self) -> Geometry:
        """Return the toy."""
        return TOY
