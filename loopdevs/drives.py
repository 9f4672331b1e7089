# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtio drives that were handed to this guest, known by their serial numbers.

Nothing but the serial that the caller was given makes a drive ours: vda may be anything.
"""

from __future__ import annotations

import re
from pathlib import Path

from loopdevs.errors import LoopdevsError, NotOursError

__all__ = ["attached_drive", "find_drive", "our_drives"]

SYSFS = Path("/sys/block")
SERIAL = re.compile(r"iodiff-[0-9]{2,}")
"""The serials that are given to drives for us; virtio cuts a serial at 20 bytes."""


def find_drive(serial: str) -> Path:
    """Return the drive of that serial; NotOursError when the serial is none of ours, or no drive has it."""
    device = attached_drive(serial)
    if device is None:
        raise NotOursError(f"no drive of this guest has the serial {serial!r}: hand it one with that serial")
    return device


def attached_drive(serial: str) -> Path | None:
    """Return the drive of that serial, if there is one; NotOursError when the serial is none of ours."""
    if not SERIAL.fullmatch(serial):
        raise NotOursError(f"{serial!r} is not the serial of a drive of ours (iodiff-NN): left alone")
    found = [device for device, theirs in _drives() if theirs == serial]
    if len(found) > 1:
        raise LoopdevsError(f"{len(found)} drives have the serial {serial}: give each its own")
    return found[0] if found else None


def our_drives() -> list[Path]:
    """Return all drives whose serials are of the form that is given to ours."""
    return [device for device, serial in _drives() if SERIAL.fullmatch(serial)]


def _drives() -> list[tuple[Path, str]]:
    # Of all drivers only virtio_blk has the attribute here (`serial_show`, drivers/block/virtio_blk.c).
    files = sorted(SYSFS.glob("vd*/serial"))
    return [(Path("/dev") / file.parent.name, file.read_text().strip()) for file in files]
