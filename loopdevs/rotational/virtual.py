# SPDX-License-Identifier: GPL-2.0-or-later
"""What a disk that ran in real time would have done in virtual time."""

from __future__ import annotations

from collections.abc import Sequence

from loopdevs.rotational.layout import RotationalLayout
from loopdevs.rotational.served import ServedRequest
from reference.disks import Served

__all__ = ["in_virtual_time"]


def in_virtual_time(layout: RotationalLayout, served: Sequence[ServedRequest]) -> list[Served]:
    """Return what the disk does when the same requests come at the same times; that is what it did."""
    disk = layout.make()
    for request in sorted(served, key=lambda request: request.number):
        while (due := disk.due()) is not None and due <= request.arrival_ns:
            disk.complete()
        disk.submit(request.arrival_ns, request.byte, request.nbytes, request.number, request.write)
    while disk.due() is not None:
        disk.complete()
    return disk.trace
