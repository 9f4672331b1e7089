# SPDX-License-Identifier: GPL-2.0-or-later
"""Private tracefs instances, reached through a tracefs mount of our own.

Every mount of tracefs shows the same instances. A shared mount would do, but whoever made it may remove it
under us, and an instance that cannot be reached cannot be removed: so each run mounts its own.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path

from loopdevs.deadline import Deadline, retry_while_busy
from loopdevs.errors import LoopdevsError, NotOursError

__all__ = ["MOUNT_NAME", "instance_name", "make_instance", "mount_source", "remove_instance"]

MOUNT_NAME = "tracing"
"""The mount point in the work directory."""
PREFIX = "iodiff-"


def mount_source(token: str) -> str:
    """Return the source that the tracefs mount of the run with `token` shows."""
    return PREFIX + token


def instance_name(token: str, number: int) -> str:
    """Return the name of the `number`-th instance of the run with `token`."""
    return f"{PREFIX}{token}-{number}"


def make_instance(tracefs: Path, name: str) -> Path:
    """Make instance `name` and return its path; LoopdevsError when the kernel refuses."""
    path = tracefs / "instances" / name
    try:
        path.mkdir()
    except OSError as error:
        raise LoopdevsError(f"no tracing instance at {path}: {error.strerror}") from None
    return path


def remove_instance(tracefs: Path, name: str, token: str, deadline: Deadline) -> bool:
    """Remove instance `name` of the run with `token`; return whether it was there.

    NotOursError when the name is not one of that run; LoopdevsError when it is in use until the deadline.
    """
    if not re.fullmatch(rf"{PREFIX}{re.escape(token)}-[0-9]+", name):
        raise NotOursError(f"tracing instance {name!r} is not of this run: left alone")
    path = tracefs / "instances" / name
    try:
        retry_while_busy(path.rmdir, deadline)
    except FileNotFoundError:
        return False
    except OSError as error:
        why = f"in use for {deadline.seconds:g} s" if error.errno == errno.EBUSY else error.strerror
        raise LoopdevsError(f"tracing instance {path} cannot be removed: {why}: end who reads it") from None
    return True
