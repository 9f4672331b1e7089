# SPDX-License-Identifier: GPL-2.0-or-later
"""What btrfs knows of a device: where it is mounted, and that it was shown it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from loopdevs.deadline import Deadline, retry_while_busy
from loopdevs.errors import LoopdevsError
from loopdevs.mounts import mounts

__all__ = ["forget_device", "numbers_of", "where_mounted"]

CONTROL = Path("/dev/btrfs-control")
SYSFS = Path("/sys/fs/btrfs")
# include/uapi/linux/btrfs.h; what `btrfs device scan --forget` calls
BTRFS_IOC_FORGET_DEV = 0x50009405
# struct btrfs_ioctl_vol_args: fd, name
VOL_ARGS = struct.Struct("=q4088s")


def where_mounted(device: Path) -> list[Path]:
    """Return the mount points of every file system on `device`.

    A btrfs of several devices shows only one as its source; sysfs lists the others.
    """
    members = {device.name}
    for link in SYSFS.glob(f"*/devices/{device.name}"):
        members |= {other.name for other in link.parent.iterdir()}
    ours = numbers_of(Path("/dev") / name for name in members)
    return [m.point for m in mounts() if numbers_of([Path(m.source)]) & ours]


def numbers_of(paths: Iterable[Path]) -> set[int]:
    """Return the device numbers of those `paths` that are block devices."""
    found = set()
    for path in paths:
        # What is not a path shows as a mount's source too.
        with suppress(OSError):
            status = path.stat() if path.is_absolute() else None
            if status and stat.S_ISBLK(status.st_mode):
                found.add(status.st_rdev)
    return found


def forget_device(device: Path, deadline: Deadline) -> bool:
    """Make the kernel forget the unmounted btrfs member `device`; return whether it knew it.

    LoopdevsError when it stays mounted until the deadline (`btrfs_forget_devices`, fs/btrfs/volumes.c).
    """
    try:
        retry_while_busy(lambda: _forget(device), deadline)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise LoopdevsError(f"btrfs does not forget {device}: {error.strerror}") from None
    return True


def _forget(device: Path) -> None:
    descriptor = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        # A buffer that may be written to: fcntl copies no more than 1024 bytes of any other.
        fcntl.ioctl(descriptor, BTRFS_IOC_FORGET_DEV, bytearray(VOL_ARGS.pack(0, os.fsencode(device))))
    finally:
        os.close(descriptor)
