# SPDX-License-Identifier: GPL-2.0-or-later
"""The disks that there are to simulate, each constant with where it is from.

Where a data sheet does not say, a figure of a disk of the same time and kind stands in, and is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from reference.disks.timing import Geometry

__all__ = ["CONSTELLATION_2010", "SATA_7200_2011", "SATA_SSD_2011", "RotationalConstants", "SsdConstants"]

SECTOR = 512
MS = 1_000_000
"""Nanoseconds."""


@dataclass(frozen=True)
class RotationalConstants:
    """What is to be known of a rotational disk."""

    name: str
    capacity: int
    """Bytes."""
    heads: int
    rpm: int
    track_bytes_outer: int
    """User data on the outermost track."""
    track_bytes_inner: int
    """User data on the innermost track."""
    zones: int
    """Zones of tracks that hold as much, equally wide; from zone to zone it gets less by the same amount."""
    seek_single_ns: int
    """To the next track. Also taken for changing heads, and for the skew between tracks."""
    seek_average_ns: int
    """Over all pairs of tracks."""
    seek_full_ns: int
    """From the outermost to the innermost."""
    overhead_ns: int
    """Of the controller, for each command."""
    bus_bytes_per_s: int
    read_ahead: int
    """Bytes that the disk reads on while nothing else is asked of it; 0 for none."""
    segments: int
    """How many pieces of what was read its memory keeps."""
    queue_depth: int
    """Commands that it takes at a time."""

    @property
    def revolution_ns(self) -> int:
        """How long a revolution takes."""
        return 60_000 * MS // self.rpm

    @property
    def cylinders(self) -> int:
        """How many the capacity needs; a multiple of the zones."""
        per_cylinder = self.heads * sum(self._zone_track_bytes()) // self.zones
        return -(-self.capacity // per_cylinder // self.zones) * self.zones

    def geometry(self) -> Geometry:
        """Return the disk in the numbers that `timing` calculates with."""
        track_bytes = self._zone_track_bytes()
        tracks = self.cylinders // self.zones * self.heads
        sizes = [tracks * size for size in track_bytes]
        first, average, full = self.seek_single_ns, self.seek_average_ns, self.seek_full_ns
        further = self.cylinders - 2
        return Geometry(
            capacity=self.capacity,
            heads=self.heads,
            revolution_ns=self.revolution_ns,
            switch_ns=self.seek_single_ns,
            overhead_ns=self.overhead_ns,
            # The curve through single and full, whose mean over all pairs is the average: the mean of the
            # root is 8/15 of its greatest value, that of the distance a third.
            seek_first_ns=float(first),
            seek_root_ns=(-10 * first + 15 * average - 5 * full) / (3 * further**0.5),
            seek_linear_ns=(7 * first - 15 * average + 8 * full) / (3 * further),
            bus_bytes_per_s=self.bus_bytes_per_s,
            read_ahead=self.read_ahead,
            zone_byte=tuple(accumulate(sizes[:-1], initial=0)),
            zone_track=tuple(range(0, tracks * self.zones, tracks)),
            zone_track_bytes=track_bytes,
        )

    def _zone_track_bytes(self) -> tuple[int, ...]:
        less, last = self.track_bytes_outer - self.track_bytes_inner, max(1, self.zones - 1)
        sectors = (
            (self.track_bytes_outer * last - less * zone) // (last * SECTOR) for zone in range(self.zones)
        )
        return tuple(SECTOR * number for number in sectors)


SATA_7200_2011 = RotationalConstants(
    name="7,200 rpm SATA disk of 2011, after Seagate Constellation ES ST32000644NS",
    # Constellation ES Serial ATA Product Manual (100516232, Rev. D and G, 2010 and February 2011), 3.2.
    capacity=3_907_029_168 * SECTOR,
    # Four platters of 500 GB; not in the pages that were at hand, but what follows below bears it out.
    heads=8,
    # Ibid. 3.4.
    rpm=7200,
    # Ibid. 3.4: at most 140 MB/s sustained, times a revolution and a change of tracks. (The 1,300 Mb/s that
    # the head reads, 3.4, are 1.35 MB a revolution: the difference is codes and marks.) 264,780 cylinders
    # follow; at 240,000 tracks an inch (3.4) they are 1.1 inches wide, as is a 3.5-inch platter's data.
    track_bytes_outer=2415 * SECTOR,
    # Inner to outer as 75 to 142: Constellation SAS Product Manual (ST9500430SS), Rev. E, 5.1.
    track_bytes_inner=1275 * SECTOR,
    # Hitachi Deskstar 7K500 specification, table 10: zones 0 to 29.
    zones=30,
    # Constellation SAS Product Manual, Rev. E, 5.2.1: single track, without controller.
    seek_single_ns=500_000,
    # Hitachi Deskstar 7K1000.C specification, table 9: typical, read, two disks.
    seek_average_ns=8_500_000,
    # Constellation SAS Product Manual, Rev. E, 5.2.1: full stroke, without controller.
    seek_full_ns=17_350_000,
    # Ibid.: 8.2 with and 8.0 without controller.
    overhead_ns=200_000,
    # Constellation ES Serial ATA Product Manual, 3.4.
    bus_bytes_per_s=300_000_000,
    # Assumed; makers do not say. Of 64 MB of memory these are a quarter.
    read_ahead=1 << 20,
    segments=16,
    # 32 by the Serial ATA standard, of which libata of 2011 kept one for commands of its own.
    queue_depth=31,
)
"""The disk that claims of 2011 are simulated with."""

CONSTELLATION_2010 = RotationalConstants(
    name="2.5-inch 7,200 rpm disk of 2010, Seagate Constellation ST9500430SS",
    # All from one page: Constellation SAS Product Manual, Rev. E, 5.1 and 5.2.1.
    capacity=976_773_168 * SECTOR,
    heads=6,
    rpm=7200,
    # 83,370 MB on 123,148 tracks are 677 kB each, spread as the internal rates of 142 to 75 MB/s are.
    track_bytes_outer=1730 * SECTOR,
    track_bytes_inner=914 * SECTOR,
    zones=30,
    seek_single_ns=500_000,
    seek_average_ns=8_000_000,
    seek_full_ns=17_350_000,
    overhead_ns=200_000,
    bus_bytes_per_s=300_000_000,
    read_ahead=1 << 20,
    segments=16,
    queue_depth=31,
)
"""A disk of which all mechanical figures are from one table, to see what the mixture above makes of it."""


@dataclass(frozen=True)
class SsdConstants:
    """What is to be known of a solid-state disk."""

    name: str
    capacity: int
    """Bytes."""
    flash_ns: int
    """Until what was asked for is out of the flash."""
    channels: int
    """How many requests read flash at a time."""
    command_ns: int
    """The least that a request needs of the controller and the bus, which serve one at a time."""
    bus_bytes_per_s: int
    """What the controller and the bus carry."""
    queue_depth: int
    """Commands that it takes at a time."""


SATA_SSD_2011 = SsdConstants(
    name="SATA SSD of 2011, Intel 320 Series 300 GB",
    capacity=300_000_000_000,
    # Intel Solid-State Drive 320 Series Product Specification: a read takes 75 us ("average sequential", none
    # is given for random ones), of which the controller has the 25.3 us below.
    flash_ns=49_700,
    # Ten channels (review of guru3d.com).
    channels=10,
    # Product Specification: up to 39,500 random reads of 4 KB a second at depth 32.
    command_ns=1_000_000_000 // 39_500,
    # Product Specification: up to 270 MB/s.
    bus_bytes_per_s=270_000_000,
    queue_depth=31,
)
