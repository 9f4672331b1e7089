# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a device of ours blank, so that neither the kernel nor udev takes it for what it was."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

from loopdevs.deadline import Deadline, retry_while_busy
from loopdevs.errors import LoopdevsError

__all__ = ["discard", "wait_until_free", "wipe"]

# include/uapi/linux/fs.h; its argument are offset and length, u64 each
BLKDISCARD = 0x1277
RANGE = struct.Struct("=2Q")

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


def discard(device: Path, deadline: Deadline) -> bool:
    """Give up all that is on `device`, so that a sparse file below it shrinks; return whether it can do that.

    LoopdevsError when something in the kernel holds it until the deadline. It need not be blank afterwards.
    """
    try:
        retry_while_busy(lambda: _discard(device), deadline)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return False
        why = f"in use for {deadline.seconds:g} s" if error.errno == errno.EBUSY else error.strerror
        raise LoopdevsError(f"{device} cannot be discarded: {why}: see what holds it with lsblk") from None
    return True


def _discard(device: Path) -> None:
    descriptor = os.open(device, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, BLKDISCARD, RANGE.pack(0, os.lseek(descriptor, 0, os.SEEK_END)))
    finally:
        os.close(descriptor)


def wait_until_free(device: Path, deadline: Deadline) -> None:
    """Return when nothing in the kernel holds `device`; LoopdevsError when something does at the deadline.

    bcache's folder in sysfs goes first (`cached_dev_flush`), and only then, by a work queue, the device is
    closed (`cached_dev_free`, drivers/md/bcache/super.c). Registering it quietly in between does nothing,
    and says nothing (`register_bcache`).
    """
    try:
        os.close(retry_while_busy(lambda: os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC), deadline))
    except OSError as error:
        why = f"in use for {deadline.seconds:g} s" if error.errno == errno.EBUSY else error.strerror
        raise LoopdevsError(f"{device} is not let go of: {why}: see what holds it with lsblk") from None


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
