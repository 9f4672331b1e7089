# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests and benchmarks share: a disk in virtual time beside one in real time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loopdevs.rotational.layout import RotationalLayout
from loopdevs.rotational.served import ServedRequest
from reference.disks import SATA_7200_2011, RotationalConstants, Served

__all__ = ["in_virtual_time", "small_disk"]


def small_disk(size_bytes: int) -> RotationalConstants:
    """Return a disk of that size, whose seeks from end to end take as long as those of a large one."""
    return replace(SATA_7200_2011, capacity=size_bytes)


def in_virtual_time(layout: RotationalLayout, served: Sequence[ServedRequest]) -> list[Served]:
    """Return what the disk does in virtual time when the same requests come at the same times."""
    disk = layout.make()
    for request in sorted(served, key=lambda request: request.number):
        while (due := disk.due()) is not None and due <= request.arrival_ns:
            disk.complete()
        disk.submit(request.arrival_ns, request.byte, request.nbytes, request.number, request.write)
    while disk.due() is not None:
        disk.complete()
    return disk.trace
