# SPDX-License-Identifier: GPL-2.0-or-later
"""One asynchronous read at a time, by io_submit(2), through libaio."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from harness.errors import InfrastructureError, UserError

__all__ = ["Aio"]

_IO_CMD_PREADV = 7


class _Iovec(ctypes.Structure):
    _fields_ = (("iov_base", ctypes.c_void_p), ("iov_len", ctypes.c_size_t))


class _Iocb(ctypes.Structure):
    """`struct iocb` (include/uapi/linux/aio_abi.h), on machines that are little endian."""

    _fields_ = (
        ("aio_data", ctypes.c_uint64),
        ("aio_key", ctypes.c_uint32),
        ("aio_rw_flags", ctypes.c_int32),
        ("aio_lio_opcode", ctypes.c_uint16),
        ("aio_reqprio", ctypes.c_int16),
        ("aio_fildes", ctypes.c_uint32),
        ("aio_buf", ctypes.c_uint64),
        ("aio_nbytes", ctypes.c_uint64),
        ("aio_offset", ctypes.c_int64),
        ("aio_reserved2", ctypes.c_uint64),
        ("aio_flags", ctypes.c_uint32),
        ("aio_resfd", ctypes.c_uint32),
    )


class _Event(ctypes.Structure):
    """`struct io_event`."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("obj", ctypes.c_uint64),
        ("res", ctypes.c_int64),
        ("res2", ctypes.c_int64),
    )


@cache
def _library() -> Any:
    try:
        return ctypes.CDLL("libaio.so.1")
    except OSError:
        raise UserError("libaio.so.1 is missing: install libaio (Debian package libaio1)") from None


class Aio:
    """A context of asynchronous I/O, for one read at a time."""

    def __init__(self, context: ctypes.c_void_p) -> None:
        """Use `opened`."""
        self._context = context

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Aio]:
        """Make a context; UserError without libaio, InfrastructureError where the kernel gives none."""
        context = ctypes.c_void_p()
        if error := _library().io_setup(1, ctypes.byref(context)):
            raise InfrastructureError(f"io_setup failed: {os.strerror(-error)}")
        try:
            yield cls(context)
        finally:
            _library().io_destroy(context)

    def preadv(self, fd: int, vectors: Sequence[tuple[int, int]], offset: int, flags: int) -> int:
        """Read into memory at addresses, wait for it, and return what came of it: bytes, or -errno."""
        iov = (_Iovec * len(vectors))(*(_Iovec(base, length) for base, length in vectors))
        iocb = _Iocb(
            aio_lio_opcode=_IO_CMD_PREADV,
            aio_rw_flags=flags,
            aio_fildes=fd,
            aio_buf=ctypes.addressof(iov),
            aio_nbytes=len(vectors),
            aio_offset=offset,
        )
        submitted = _library().io_submit(self._context, 1, ctypes.byref(ctypes.pointer(iocb)))
        if submitted != 1:
            return int(submitted)
        event = _Event()
        if _library().io_getevents(self._context, 1, 1, ctypes.byref(event), None) != 1:
            raise InfrastructureError("io_getevents gave no event")
        return int(event.res)
