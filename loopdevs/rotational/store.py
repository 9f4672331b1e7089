# SPDX-License-Identifier: GPL-2.0-or-later
"""The file that holds the data of a disk."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from loopdevs.rotational.failing import Failing, FailingBlocks

__all__ = ["Store"]

# include/uapi/linux/falloc.h
FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class Store:
    """A sparse file in the page cache of the host: reading and writing it takes no time worth mentioning."""

    def __init__(self, file: Path, failing: FailingBlocks | None = None) -> None:
        """Open `file`; OSError when that fails, and so in all that follows."""
        self._failing = failing
        self._descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, byte: int, nbytes: int) -> bytes:
        """Return what is there; nothing beyond the end. OSError (EIO) where it fails."""
        self._check(byte, nbytes, Failing.READS)
        return os.pread(self._descriptor, nbytes, byte)

    def write(self, byte: int, data: bytes) -> None:
        """Write all of `data`; OSError (ENOSPC) beyond the end, (EIO) where it fails."""
        self._check(byte, len(data), Failing.WRITES)
        if byte + len(data) > self.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = 0
        while written < len(data):
            written += os.pwrite(self._descriptor, memoryview(data)[written:], byte + written)

    def _check(self, byte: int, nbytes: int, failing: Failing) -> None:
        if self._failing and self._failing.meets(byte, nbytes, failing):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def punch(self, byte: int, nbytes: int) -> None:
        """Make a hole, which reads as zeros."""
        if _libc.fallocate(self._descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, byte, nbytes):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
