# SPDX-License-Identifier: GPL-2.0-or-later
"""Several reads at a time by io_uring(7), through its system calls."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from harness.direct_io.aio import Asked, Iovec
from harness.errors import InfrastructureError, UserError

__all__ = ["Uring", "UringWay"]

# The numbers are the same on every machine.
_SETUP, _ENTER, _REGISTER = 425, 426, 427
_SETUP_SQPOLL = 1 << 1
_FEAT_SINGLE_MMAP = 1 << 0
_ENTER_GETEVENTS, _ENTER_SQ_WAKEUP = 1 << 0, 1 << 1
_OFF_SQ_RING, _OFF_SQES = 0, 0x10000000
_REGISTER_BUFFERS, _REGISTER_FILES = 0, 2
_OP_READV, _OP_READ_FIXED = 1, 4
_SQE_FIXED_FILE, _SQE_ASYNC = 1 << 0, 1 << 4
_IDLE_MS = 2000
"""So long a thread that polls goes on after the last read."""

# struct io_uring_params: entries, flags, features; then io_sqring_offsets and io_cqring_offsets.
_PARAMS = struct.Struct("<10I 8IQ 8IQ")
# struct io_uring_sqe: opcode, flags, ioprio, fd, off, addr, len, rw_flags, user_data, buf_index
_SQE = struct.Struct("<BBHiQQIIQH22x")
# struct io_uring_cqe: user_data, res, flags
_CQE = struct.Struct("<QiI")
_WORD = struct.Struct("<I")


@dataclass(frozen=True)
class UringWay:
    """How reads are handed over."""

    sqpoll: bool = False
    """A thread of the kernel takes them from the ring (IORING_SETUP_SQPOLL)."""
    forced_async: bool = False
    """Workers make them from the start (IOSQE_ASYNC)."""
    registered: bool = False
    """Files and memory are registered; reads into one piece of memory name its number."""


class Uring:
    """A ring, for so many reads at a time."""

    def __init__(
        self, fd: int, ring: mmap.mmap, entries: mmap.mmap, params: Sequence[int], way: UringWay
    ) -> None:
        """Use `opened`."""
        self._fd, self._ring, self._entries, self._way = fd, ring, entries, way
        _, self._sq_tail, self._sq_mask, _, _, _, self._sq_array, *_ = params[10:18]
        self._cq_head, self._cq_tail, self._cq_mask, _, _, self._cqes, *_ = params[19:27]
        self._files: dict[int, int] = {}

    @classmethod
    @contextmanager
    def opened(
        cls, depth: int, way: UringWay, files: Sequence[int], memory: tuple[int, int]
    ) -> Iterator[Uring]:
        """Make a ring for `depth` reads of files into memory, an address and a length in bytes.

        UserError where the kernel has no io_uring, or refuses it.
        """
        params = bytearray(_PARAMS.size)
        flags = _SETUP_SQPOLL if way.sqpoll else 0
        _PARAMS.pack_into(params, 0, 0, 0, flags, 0, _IDLE_MS, *[0] * 23)
        with ExitStack() as made:
            try:
                fd = _call(_SETUP, depth, (ctypes.c_char * len(params)).from_buffer(params))
            except OSError as error:
                raise UserError(
                    f"the kernel gives no io_uring ({error.strerror}): see io_uring_disabled"
                ) from None
            made.callback(os.close, fd)
            found = _PARAMS.unpack(params)
            if not found[5] & _FEAT_SINGLE_MMAP:
                raise UserError("this kernel's io_uring is too old: use 5.4 or newer")
            length = max(found[16] + found[0] * _WORD.size, found[24] + found[1] * _CQE.size)
            ring = made.enter_context(mmap.mmap(fd, length, offset=_OFF_SQ_RING))
            entries = made.enter_context(mmap.mmap(fd, found[0] * _SQE.size, offset=_OFF_SQES))
            uring = cls(fd, ring, entries, found, way)
            if way.registered:
                uring.register(files, memory)
            yield uring

    def register(self, files: Sequence[int], memory: tuple[int, int]) -> None:
        """Have files and the memory known by number (`io_uring_register`)."""
        numbers = (ctypes.c_int * len(files))(*files)
        _call(_REGISTER, self._fd, _REGISTER_FILES, numbers, len(files))
        _call(_REGISTER, self._fd, _REGISTER_BUFFERS, (Iovec * 1)(Iovec(*memory)), 1)
        self._files = {fd: number for number, fd in enumerate(files)}

    def read_all(self, asked: Sequence[Asked]) -> list[int]:
        """Hand reads over at once, wait for all, and return what came of each: bytes, or -errno."""
        # What the entries point to has to live until the reads have ended.
        vectors = [(Iovec * len(one.vectors))(*(Iovec(*vector) for vector in one.vectors)) for one in asked]
        tail = self._word(self._sq_tail)
        mask = self._word(self._sq_mask)
        for number, (one, iov) in enumerate(zip(asked, vectors, strict=True)):
            place = (tail + number) & mask
            self._entries[place * _SQE.size : (place + 1) * _SQE.size] = self._entry(number, one, iov)
            _WORD.pack_into(self._ring, self._sq_array + place * _WORD.size, place)
        _WORD.pack_into(self._ring, self._sq_tail, (tail + len(asked)) & 0xFFFFFFFF)
        self._enter(len(asked))
        returned: dict[int, int] = {}
        while len(returned) < len(asked):
            returned.update(self._completed())
        return [returned[number] for number in range(len(asked))]

    def _entry(self, number: int, one: Asked, iov: Any) -> bytes:
        flags = _SQE_ASYNC if self._way.forced_async else 0
        fd = one.fd
        if self._way.registered:
            flags |= _SQE_FIXED_FILE
            fd = self._files[fd]
            if len(one.vectors) == 1:
                address, length = one.vectors[0]
                return _SQE.pack(
                    _OP_READ_FIXED, flags, 0, fd, one.offset, address, length, one.flags, number, 0
                )
        return _SQE.pack(
            _OP_READV, flags, 0, fd, one.offset, ctypes.addressof(iov), len(iov), one.flags, number, 0
        )

    def _enter(self, count: int) -> None:
        flags = _ENTER_GETEVENTS | (_ENTER_SQ_WAKEUP if self._way.sqpoll else 0)
        taken = _call(_ENTER, self._fd, count, count, flags, None, 0)
        if taken != count:
            raise InfrastructureError(f"io_uring took {taken} of {count} reads")

    def _completed(self) -> Iterator[tuple[int, int]]:
        """Take what has ended out of the ring; wait for one if there is none."""
        head, tail = self._word(self._cq_head), self._word(self._cq_tail)
        if head == tail:
            _call(_ENTER, self._fd, 0, 1, _ENTER_GETEVENTS, None, 0)
        mask = self._word(self._cq_mask)
        while head != tail:
            number, result, _ = _CQE.unpack_from(self._ring, self._cqes + (head & mask) * _CQE.size)
            yield number, result
            head = (head + 1) & 0xFFFFFFFF
        _WORD.pack_into(self._ring, self._cq_head, head)

    def _word(self, place: int) -> int:
        return int(_WORD.unpack_from(self._ring, place)[0])


def _call(number: int, *arguments: Any) -> int:
    """Make a system call; OSError if it fails. A signal that comes while it waits does not count."""
    library = ctypes.CDLL(None, use_errno=True)
    while True:
        result = int(library.syscall(ctypes.c_long(number), *arguments))
        if result >= 0:
            return result
        if (error := ctypes.get_errno()) != 4:
            raise OSError(error, os.strerror(error))
