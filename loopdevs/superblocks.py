# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a device of ours blank, so that neither the kernel nor udev takes it for what it was."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from loopdevs.deadline import Deadline, retry_while_busy
from loopdevs.errors import LoopdevsError

__all__ = ["wipe"]

HEAD_BYTES = 1024**2
"""Holds every signature that matters: bcache at 4 KiB, btrfs at 64 KiB, mkfs.btrfs reserves as much."""


def wipe(device: Path, deadline: Deadline) -> bool:
    """Overwrite the head of `device` with zeros; return whether there was anything else in it.

    LoopdevsError when something in the kernel (a mount, bcache, device mapper) holds it until the deadline. A
    device that cannot be read or written (device mapper makes them) has nothing that could be recognised.
    """
    try:
        # Only a descriptor that could write wakes udev when it is closed.
        head = retry_while_busy(lambda: _head(device), deadline)
        if any(head):
            retry_while_busy(lambda: _overwrite(device, bytes(len(head))), deadline)
    except OSError as error:
        if error.errno == errno.EIO:
            return False
        why = f"in use for {deadline.seconds:g} s" if error.errno == errno.EBUSY else error.strerror
        raise LoopdevsError(f"{device} cannot be wiped: {why}: see what holds it with lsblk") from None
    return any(head)


def _head(device: Path) -> bytes:
    # O_EXCL on a block device fails while the kernel itself uses it.
    descriptor = os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, HEAD_BYTES, 0)
    finally:
        os.close(descriptor)


def _overwrite(device: Path, zeros: bytes) -> None:
    descriptor = os.open(device, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    try:
        os.pwrite(descriptor, zeros, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
