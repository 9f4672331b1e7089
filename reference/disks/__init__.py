# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks in virtual time, simulated: see docs/disks.md."""

from __future__ import annotations

from reference.disks.constants import (
    CONSTELLATION_2010,
    SATA_7200_2011,
    SATA_SSD_2011,
    RotationalConstants,
    SsdConstants,
)
from reference.disks.disk import Disk, Disks, Served
from reference.disks.mechanism import Access, Mechanism, Way
from reference.disks.queues import Policy
from reference.disks.rotational import RotationalDisk
from reference.disks.ssd import SolidStateDisk
from reference.disks.timing import Geometry

__all__ = [
    "CONSTELLATION_2010",
    "SATA_7200_2011",
    "SATA_SSD_2011",
    "Access",
    "Disk",
    "Disks",
    "Geometry",
    "Mechanism",
    "Policy",
    "RotationalConstants",
    "RotationalDisk",
    "Served",
    "SolidStateDisk",
    "SsdConstants",
    "Way",
]
