# SPDX-License-Identifier: GPL-2.0-or-later
"""Rotational disks for the small file systems of cases."""

from __future__ import annotations

from dataclasses import replace

from loopdevs import RotationalLayout, shrunk
from reference.disks import SATA_7200_2011

__all__ = ["small_disk"]


def small_disk(size_bytes: int) -> RotationalLayout:
    """Return a disk over which the arm takes as long as over one of 2 TB.

    Its memory is smaller, too: trees here are a thousandth of those whose reading takes minutes.
    """
    constants = shrunk(size_bytes, replace(SATA_7200_2011, read_ahead=64 << 10))
    return RotationalLayout(size_bytes, constants)
