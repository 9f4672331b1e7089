# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes a file, and has other threads read it directly at the same time."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from harness.direct_io.aio import Aio, Asked
from harness.direct_io.extents import extent_starts
from harness.direct_io.races import RaceRead, seen_in, words
from harness.errors import InfrastructureError
from reference.direct_io.concurrent import Change, ChangeKind

__all__ = ["PlannedChange", "race"]

PlannedChange = tuple[ChangeKind, int, int]
"""Kind, offset or length of the file, length."""
READERS = 3
"""The last of them reads by io_submit(2)."""
MOST_CHUNKS = 8
READS_MOST = 20_000
"""Of one reader."""


def race(
    path: Path, planned: Sequence[PlannedChange], chunk: int, size: int, seed: int
) -> tuple[list[Change], list[RaceRead]]:
    """Make all changes while others read; return both, the reads by when they began.

    `chunk` and `size`, up to which is read, are bytes.
    """
    over = threading.Event()
    with ThreadPoolExecutor(READERS) as pool:
        try:
            first = _change(path, planned[:1], 0)
            reading = [
                pool.submit(_read, path, number, random.Random(seed + number), chunk, size, over)
                for number in range(READERS)
            ]
            changes = first + _change(path, planned[1:], 1)
        finally:
            over.set()
        reads = [read for one in reading for read in one.result()]
    return changes, sorted(reads, key=lambda read: read.begin_ns)


def _change(path: Path, planned: Iterable[PlannedChange], number: int) -> list[Change]:
    with ExitStack() as opened:
        fds = {}
        for kind, flags in ((ChangeKind.DIRECT, os.O_DIRECT), (ChangeKind.BUFFERED, 0)):
            fds[kind] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o644)
            opened.callback(os.close, fds[kind])
        changes = []
        for version, (kind, offset, length) in enumerate(planned, number + 1):
            with mmap.mmap(-1, max(length, mmap.PAGESIZE)) as memory:
                memory[:length] = words(version, offset, length)
                begin = time.monotonic_ns()
                if kind is ChangeKind.TRUNCATE:
                    os.ftruncate(fds[ChangeKind.BUFFERED], offset)
                elif os.pwritev(fds[kind], [memory], offset) != len(memory):
                    raise InfrastructureError(f"a write of {length} bytes at {offset} stopped early")
                over = time.monotonic_ns()
                changes.append(Change(kind, offset, length, begin, over, _cuts(fds, kind, offset, length)))
        return changes


def _cuts(fds: Mapping[ChangeKind, int], kind: ChangeKind, offset: int, length: int) -> tuple[int, ...]:
    """Return where a direct write was cut, for want of room in one piece."""
    if kind is not ChangeKind.DIRECT:
        return ()
    return tuple(extent_starts(fds[kind], offset + 1, offset + length))


def _read(
    path: Path, number: int, rng: random.Random, chunk: int, size: int, over: threading.Event
) -> list[RaceRead]:
    most = MOST_CHUNKS * chunk
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    reads: list[RaceRead] = []
    try:
        with mmap.mmap(-1, most) as memory, Aio.opened() as aio:
            while not over.is_set() and len(reads) < READS_MOST:
                offset = rng.randrange(size // chunk) * chunk
                length = rng.randrange(1, MOST_CHUNKS + 1) * chunk
                memory[:] = b"\xa5" * most
                begin = time.monotonic_ns()
                returned = _one(fd, memory, offset, length, aio if number == READERS - 1 else None)
                end = time.monotonic_ns()
                seen = seen_in(memory[: max(returned, 0)], offset)
                reads.append(RaceRead(number, offset, length, begin, end, returned, seen))
    finally:
        os.close(fd)
    return reads


def _one(fd: int, memory: mmap.mmap, offset: int, length: int, aio: Aio | None) -> int:
    if aio:
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        [returned] = aio.read_all([Asked(fd, [(start, length)], offset)])
        return returned
    with memoryview(memory) as view, view[:length] as vector:
        try:
            return os.preadv(fd, [vector], offset)
        except OSError as error:
            return -(error.errno or 0)
