# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk as one file, mounted by FUSE upon another file: what a loop device can stand on."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import mfusepy

from loopdevs.rotational.spindle import Spindle
from loopdevs.rotational.store import FALLOC_FL_PUNCH_HOLE, Store

__all__ = ["serve"]

DEPTH = 128
"""Requests under way: as many as a loop device lets through (`hw_queue_depth`, drivers/block/loop.c)."""
FOR_EVER_S = 1e9


class DiskFile:
    """The root of the mount, which is the file; the methods are those of mfusepy's `Operations`."""

    use_ns = True

    def __init__(self, store: Store, spindle: Spindle, ready: Callable[[], None]) -> None:
        self._store = store
        self._spindle = spindle
        self._ready = ready

    def init_with_config(self, conn_info: Any, config_3: Any) -> None:
        """Set what goes by no option, and say that it has begun."""
        conn_info.max_background = DEPTH
        conn_info.congestion_threshold = DEPTH
        # The kernel asks for the inode of a loop device's file when the disk may be gone (undoing).
        config_3.attr_timeout = FOR_EVER_S
        # No page cache and no read-ahead of the kernel's in between.
        config_3.direct_io = 1
        self._ready()

    def getattr(self, _path: str, _fh: int | None = None) -> dict[str, Any]:
        """Return the attributes of the file."""
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self._store.size}

    def open(self, _path: str, _flags: int) -> int:
        """Open it."""
        return 0

    def read(self, _path: str, size: int, offset: int, _fh: int) -> bytes:
        """Read, in the time of the disk."""
        wait = self._spindle.begin(offset, size, write=False)
        data = self._store.read(offset, size)
        wait()
        return data

    def write(self, _path: str, data: bytes, offset: int, _fh: int) -> int:
        """Write, in the time of the disk."""
        wait = self._spindle.begin(offset, len(data), write=True)
        self._store.write(offset, data)
        wait()
        return len(data)

    def fsync(self, _path: str, _datasync: int, _fh: int) -> int:
        """Do nothing: the disk has no write cache, what was answered is written."""
        return 0

    def fallocate(self, _path: str, mode: int, offset: int, size: int, _fh: int) -> int:
        """Make a hole (discard), at once."""
        if not mode & FALLOC_FL_PUNCH_HOLE:
            raise OSError(errno.EOPNOTSUPP, "only holes")
        self._store.punch(offset, size)
        return 0


def serve(point: Path, source: str, store: Store, spindle: Spindle, ready: Callable[[], None]) -> None:
    """Mount the disk upon the file `point`, call `ready`, and return when it has been unmounted."""
    threads = {"max_threads": DEPTH, "max_idle_threads": DEPTH}
    # libfuse itself has said why, if this fails.
    with suppress(RuntimeError):
        mfusepy.FUSE(DiskFile(store, spindle, ready), str(point), foreground=True, fsname=source, **threads)
