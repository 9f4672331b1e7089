# SPDX-License-Identifier: GPL-2.0-or-later
"""The mount table of this process, and unmounting."""

from __future__ import annotations

import ctypes
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from loopdevs.deadline import Deadline, retry_while_busy
from loopdevs.errors import LoopdevsError
from loopdevs.processes import holders

__all__ = ["Mount", "mount_at", "mount_holding", "mounts", "mounts_below", "parse_mountinfo", "unmount"]

UMOUNT_NOFOLLOW = 8
"""Do not follow a symbolic link at the end of the path (include/linux/fs.h)."""


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    point: Path
    type: str
    source: str


def mounts() -> list[Mount]:
    """Return the mounts that this process sees, oldest first."""
    return parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())


def parse_mountinfo(data: bytes) -> list[Mount]:
    r"""Parse mountinfo (proc(5); `show_mountinfo`, fs/proc_namespace.c).

    >>> parse_mountinfo(b"36 25 0:32 / /a\\040b rw,noatime shared:1 - btrfs /dev/loop0 rw\n")
    [Mount(point=PosixPath('/a b'), type='btrfs', source='/dev/loop0')]
    """
    found = []
    for line in data.splitlines():
        # A varying number of optional fields ends with a lone hyphen.
        mount, _, super_block = line.partition(b" - ")
        kind, source = super_block.split(b" ")[:2]
        point = mount.split(b" ")[4]
        found.append(Mount(Path(_unescape(point)), _unescape(kind), _unescape(source)))
    return found


def mount_at(point: Path) -> Mount | None:
    """Return the topmost mount at exactly `point`."""
    return next((m for m in reversed(mounts()) if m.point == point), None)


def mounts_below(path: Path) -> list[Mount]:
    """Return the mounts at `path` or deeper."""
    return [m for m in mounts() if m.point.is_relative_to(path)]


def mount_holding(path: Path) -> Mount:
    """Return the mount that the existing absolute `path` lies on."""
    covering = [m for m in mounts() if path.is_relative_to(m.point)]
    return max(reversed(covering), key=lambda m: len(m.point.parts))


def unmount(point: Path, deadline: Deadline) -> None:
    """Unmount `point`, waiting while it is busy; LoopdevsError says who holds it at the deadline."""
    try:
        retry_while_busy(lambda: _umount2(point), deadline)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise LoopdevsError(f"{point} cannot be unmounted: {error.strerror}") from None
        users = ", ".join(str(holder) for holder in holders(point)) or "no process that can be seen"
        raise LoopdevsError(
            f"{point} is still busy after {deadline.seconds:g} s, held by {users}: end that and clean again"
        ) from None


def _umount2(point: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(point), UMOUNT_NOFOLLOW):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(point))


def _unescape(field: bytes) -> str:
    if b"\\" not in field:
        return os.fsdecode(field)
    # Blanks, backslashes and number signs stand as three octal digits.
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), field))
