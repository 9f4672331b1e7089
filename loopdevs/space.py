# SPDX-License-Identifier: GPL-2.0-or-later
"""Free space, told with the file system's name and the figures."""

from __future__ import annotations

import os
from pathlib import Path

from loopdevs.errors import LoopdevsError
from loopdevs.mounts import mount_holding

__all__ = ["check_space"]


def check_space(directory: Path, minimum: int) -> None:
    """Raise LoopdevsError when `directory`, which need not exist yet, has less than `minimum` bytes free."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    status = os.statvfs(existing)
    free = status.f_bavail * status.f_frsize
    if free < minimum:
        mount = mount_holding(existing)
        raise LoopdevsError(
            f"{directory} is on {mount.type} at {mount.point} with {_mebibytes(free)} free, "
            f"{_mebibytes(minimum)} are needed: free space or give another work directory"
        )


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
