# SPDX-License-Identifier: GPL-2.0-or-later
"""Private tracefs instances: finding or mounting tracefs, making an instance, removing it."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from loopdevs.deadline import Deadline, retry_while_busy
from loopdevs.errors import LoopdevsError, NotOursError
from loopdevs.mounts import mounts

__all__ = ["PREFIX", "find_shared_tracefs", "instance_name", "make_instance", "remove_instance"]

PREFIX = "iodiff-"


def instance_name(token: str, number: int) -> str:
    """Return the name of the `number`-th instance of the run with `token`."""
    return f"{PREFIX}{token}-{number}"


def find_shared_tracefs() -> Path | None:
    """Return where tracefs is mounted for everybody, None when it is not.

    A mount in the work directory of another run does not count: it goes away with that run.
    """
    shared = (m.point for m in mounts() if m.type == "tracefs" and not m.source.startswith(PREFIX))
    return next(shared, None)


def make_instance(tracefs: Path, name: str) -> Path:
    """Make instance `name` and return its path; LoopdevsError when the kernel refuses."""
    path = tracefs / "instances" / name
    try:
        path.mkdir()
    except OSError as error:
        raise LoopdevsError(f"no tracing instance at {path}: {error.strerror}") from None
    return path


def remove_instance(name: str, token: str, deadline: Deadline) -> bool:
    """Remove instance `name` of the run with `token`; return whether it was there.

    NotOursError when the name is not one of that run; LoopdevsError when it is in use until the deadline.
    """
    if not re.fullmatch(rf"{PREFIX}{re.escape(token)}-[0-9]+", name):
        raise NotOursError(f"tracing instance {name!r} is not of this run: left alone")
    path = next((p for p in _instances() if p.name == name), None)
    if path is None:
        return False
    try:
        retry_while_busy(path.rmdir, deadline)
    except OSError as error:
        busy = f"in use for {deadline.seconds:g} s, end who reads it" if error.errno == errno.EBUSY else error
        raise LoopdevsError(f"tracing instance {path} cannot be removed: {busy}") from None
    return True


def _instances() -> list[Path]:
    # Every mount of tracefs shows the same instances.
    point = next((m.point for m in mounts() if m.type == "tracefs"), None)
    return list((point / "instances").iterdir()) if point else []
