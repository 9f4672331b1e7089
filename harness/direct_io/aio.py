# SPDX-License-Identifier: GPL-2.0-or-later
"""Asynchronous reads by io_submit(2), through libaio."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from harness.errors import InfrastructureError, UserError

__all__ = ["Aio", "Asked", "Iovec"]

_IO_CMD_PREADV = 7


class Iovec(ctypes.Structure):
    """`struct iovec`."""

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


class Asked(NamedTuple):
    """A read that is asked for."""

    fd: int
    vectors: Sequence[tuple[int, int]]
    """Addresses and lengths, bytes."""
    offset: int
    """Where in the file, bytes."""
    flags: int = 0
    """RWF_*."""


class Aio:
    """A context of asynchronous I/O."""

    def __init__(self, context: ctypes.c_void_p) -> None:
        """Use `opened`."""
        self._context = context

    @classmethod
    @contextmanager
    def opened(cls, depth: int = 1) -> Iterator[Aio]:
        """Make a context for `depth` reads at a time.

        UserError without libaio, InfrastructureError where the kernel gives none.
        """
        context = ctypes.c_void_p()
        if error := _library().io_setup(depth, ctypes.byref(context)):
            raise InfrastructureError(f"io_setup failed: {os.strerror(-error)}")
        try:
            yield cls(context)
        finally:
            _library().io_destroy(context)

    def read_all(self, asked: Sequence[Asked]) -> list[int]:
        """Hand reads over at once, wait for all, and return what came of each: bytes, or -errno."""
        vectors = [(Iovec * len(one.vectors))(*(Iovec(*vector) for vector in one.vectors)) for one in asked]
        blocks = [
            _block(number, one, iov) for number, (one, iov) in enumerate(zip(asked, vectors, strict=True))
        ]
        pointers = (ctypes.POINTER(_Iocb) * len(blocks))(*map(ctypes.pointer, blocks))
        returned: dict[int, int] = {}
        done = 0
        while done < len(blocks):
            rest = ctypes.byref(pointers, done * ctypes.sizeof(ctypes.c_void_p))
            taken = _library().io_submit(self._context, len(blocks) - done, rest)
            if taken <= 0:
                # The first of the rest was refused.
                returned[done] = taken
            done += max(taken, 1)
        events = (_Event * len(blocks))()
        left = len(blocks) - len(returned)
        if left and _library().io_getevents(self._context, left, left, events, None) != left:
            raise InfrastructureError(f"io_getevents gave fewer than {left} events")
        returned |= {event.data: event.res for event in events[:left]}
        return [int(returned[number]) for number in range(len(blocks))]


def _block(number: int, one: Asked, iov: Any) -> _Iocb:
    return _Iocb(
        aio_data=number,
        aio_rw_flags=one.flags,
        aio_lio_opcode=_IO_CMD_PREADV,
        aio_fildes=one.fd,
        aio_buf=ctypes.addressof(iov),
        aio_nbytes=len(iov),
        aio_offset=one.offset,
    )
