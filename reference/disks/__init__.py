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
from reference.disks.timing import Geometry

__all__ = [
    "CONSTELLATION_2010",
    "SATA_7200_2011",
    "SATA_SSD_2011",
    "Geometry",
    "RotationalConstants",
    "SsdConstants",
]
