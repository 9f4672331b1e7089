# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes direct reads several at a time, each into memory of its own."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path

import crc32c

from harness.direct_io.aio import Aio, Asked
from harness.direct_io.capture import DirectIoCapture
from harness.direct_io.reads import POISON, opened_files
from harness.direct_io.record import DirectRead
from harness.direct_io.uring import Uring, UringWay

__all__ = ["DEPTH", "MEMORY_BYTES", "Batch", "Engine", "make_batches"]

DEPTH = 64
"""So many reads at a time at most."""
MEMORY_BYTES = 64 << 20
"""For all of them together."""


class Engine(Enum):
    """Who makes the reads of a batch."""

    THREADS = "threads"
    """preadv(2), each in a thread of its own."""
    LIBAIO = "libaio"
    URING = "io_uring"
    URING_SQPOLL = "io_uring, polled"
    URING_ASYNC = "io_uring, forced async"
    URING_REGISTERED = "io_uring, registered"


_WAYS = {
    Engine.URING: UringWay(),
    Engine.URING_SQPOLL: UringWay(sqpoll=True),
    Engine.URING_ASYNC: UringWay(forced_async=True),
    Engine.URING_REGISTERED: UringWay(registered=True),
}

_ReadAll = Callable[[Sequence[Asked]], list[int]]


@dataclass(frozen=True)
class Batch:
    """Reads that are handed over at once; no two of one range of a file."""

    engine: Engine
    reads: Sequence[DirectRead]
    cached: bool = False
    """Whether pages that earlier batches had left were kept."""


def make_batches(
    paths: Sequence[Path], batches: Sequence[Batch], capture: DirectIoCapture
) -> list[DirectRead]:
    """Make all reads, of the files at `paths`, batch by batch; return them with what came of them.

    UserError where the machine lacks libaio or io_uring.
    """
    done: list[DirectRead] = []
    with opened_files(paths) as files, mmap.mmap(-1, MEMORY_BYTES) as memory:
        # Pages that were never touched would make the kernel give up reading directly.
        memory[:] = bytes([POISON]) * MEMORY_BYTES
        view = ctypes.c_char.from_buffer(memory)
        start = ctypes.addressof(view)
        for phase, batch in enumerate(batches, 1):
            with _engine(batch.engine, files, start) as read_all:
                capture.number(phase)
                if not batch.cached:
                    for fd in files:
                        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                done += _make(files, batch.reads, start, read_all)
        del view
    return done


def _make(
    files: Sequence[int], reads: Sequence[DirectRead], start: int, read_all: _ReadAll
) -> list[DirectRead]:
    places = []
    place = start
    for read in reads:
        places.append(place)
        place += read.memory_bytes
    asked = [
        Asked(files[read.file], [(place + base, length) for base, length in read.iov], read.offset)
        for read, place in zip(reads, places, strict=True)
    ]
    return [
        replace(read, returned=returned, digest=_taken(place, read.memory_bytes))
        for read, place, returned in zip(reads, places, read_all(asked), strict=True)
    ]


def _taken(place: int, length: int) -> int:
    """Return the CRC-32C of memory, and fill it anew."""
    memory = (ctypes.c_char * length).from_address(place)
    digest = crc32c.crc32c(memory)
    ctypes.memset(place, POISON, length)
    return digest


@contextmanager
def _engine(engine: Engine, files: Sequence[int], start: int) -> Iterator[_ReadAll]:
    if engine is Engine.THREADS:
        with ThreadPoolExecutor(DEPTH, "reads") as pool:
            yield partial(_in_threads, pool)
    elif engine is Engine.LIBAIO:
        with Aio.opened(DEPTH) as aio:
            yield aio.read_all
    else:
        with Uring.opened(DEPTH, _WAYS[engine], files, (start, MEMORY_BYTES)) as uring:
            yield uring.read_all


def _in_threads(pool: ThreadPoolExecutor, asked: Sequence[Asked]) -> list[int]:
    return [one.result() for one in [pool.submit(_preadv, one) for one in asked]]


def _preadv(asked: Asked) -> int:
    vectors = [(ctypes.c_char * length).from_address(address) for address, length in asked.vectors]
    try:
        return os.preadv(asked.fd, vectors, asked.offset, asked.flags)
    except OSError as error:
        return -(error.errno or 0)
