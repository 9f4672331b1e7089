# SPDX-License-Identifier: GPL-2.0-or-later
"""The marker of a work directory: says that it is ours, whose, and, by its lock, whether the run lives.

The lock is a flock(2) on the marker. The kernel drops it when the last holder is gone, however it ended.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from loopdevs.deadline import Deadline
from loopdevs.errors import LoopdevsError, NotOursError
from loopdevs.processes import holders, process, process_start_time
from loopdevs.records import from_json

__all__ = ["MARKER_FILE", "Marker", "claim", "has_marker", "lock_marker", "read_marker"]

MARKER_FILE = "iodiff-workspace.json"


@dataclass(frozen=True)
class Marker:
    """Whose work directory it is."""

    token: str
    """Random, the name of what has no place in the directory (tracing)."""
    pid: int
    """The process that made it."""
    start_time: int
    """When that process began, clock ticks after boot."""
    boot_id: str
    """The boot of the machine; after another one only files can be left."""
    created: bool
    """Whether the directory itself was made by the run."""

    @classmethod
    def of_this_process(cls, *, created: bool) -> Marker:
        """Return a new marker."""
        pid = os.getpid()
        return cls(secrets.token_hex(8), pid, process_start_time(pid), _boot_id(), created)

    @property
    def this_boot(self) -> bool:
        """Whether the machine has not been started again since."""
        return self.boot_id == _boot_id()

    @property
    def owner_alive(self) -> bool:
        """Whether the process that made it still runs."""
        owner = process(self.pid)
        return self.this_boot and owner is not None and owner.alive and owner.start_time == self.start_time


def has_marker(directory: Path) -> bool:
    """Return whether `directory` holds a marker, complete or not."""
    return os.path.lexists(directory / MARKER_FILE)


def claim(directory: Path, marker: Marker) -> int:
    """Write `marker` into `directory` and return its descriptor, locked; LoopdevsError if it is claimed."""
    path = directory / MARKER_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise LoopdevsError(f"{directory} was taken by another run just now: choose another one") from None
    if not _try_lock(descriptor, path):
        os.close(descriptor)
        raise LoopdevsError(f"{directory} is being cleaned by another process: try again")
    try:
        os.write(descriptor, json.dumps(asdict(marker)).encode())
        os.fsync(descriptor)
    except OSError:
        path.unlink()
        os.close(descriptor)
        raise
    return descriptor


def lock_marker(directory: Path, deadline: Deadline) -> int | None:
    """Lock the marker of `directory` and return its descriptor; None when a live run or a clean has it.

    When the owner is dead but the lock is held (a tool that outlived it, a process not yet torn down), this
    waits, and LoopdevsError at the deadline says who holds it. NotOursError when there is no marker, or
    the directory is not this user's.
    """
    descriptor = _open_marker(directory)
    try:
        locked = _wait_for_lock(descriptor, directory, deadline)
    except LoopdevsError:
        os.close(descriptor)
        raise
    if not locked:
        os.close(descriptor)
    return descriptor if locked else None


def read_marker(descriptor: int) -> Marker | None:
    """Return the marker behind `descriptor`, None when it is incomplete: its writer was killed at it."""
    try:
        return from_json(Marker, json.loads(os.pread(descriptor, 4096, 0)))
    except ValueError:
        return None


def _open_marker(directory: Path) -> int:
    try:
        descriptor = os.open(directory / MARKER_FILE, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        why = "no" if error.errno == errno.ENOENT else f"{error.strerror}:"
        raise NotOursError(f"{directory}: {why} {MARKER_FILE}, not a work directory: left alone") from None
    status = os.fstat(descriptor)
    # Somebody else's journal could make root act for him.
    if not stat.S_ISREG(status.st_mode) or {status.st_uid, directory.stat().st_uid} != {os.geteuid()}:
        os.close(descriptor)
        raise NotOursError(f"{directory} belongs to another user: left alone")
    return descriptor


def _wait_for_lock(descriptor: int, directory: Path, deadline: Deadline) -> bool:
    path = directory / MARKER_FILE
    while not _try_lock(descriptor, path):
        marker = read_marker(descriptor)
        if marker is None or marker.owner_alive or not has_marker(directory):
            return False
        if not deadline.nap():
            users = ", ".join(str(p) for p in holders(path) if p.pid != os.getpid()) or "nobody visible"
            raise LoopdevsError(f"{directory}: its run is dead, but the lock is held by {users}: end that")
    return True


def _try_lock(descriptor: int, path: Path) -> bool:
    """Lock; False when it is held, or when the file is no longer the one at `path`."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
