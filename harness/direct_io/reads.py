# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes direct reads, one after the other, in threads of different numbers."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import crc32c

from harness.direct_io.aio import Aio
from harness.direct_io.capture import DirectIoCapture
from harness.direct_io.damage import DamagedDevices
from harness.direct_io.record import DirectRead
from loopdevs import BtrfsFilesystem

__all__ = ["MEMORY_BYTES", "POISON", "make_reads"]

POISON = 0xA5
"""What the memory is filled with before each read."""
MEMORY_BYTES = 16 << 20
IDLE_LOOKS, IDLE_S = 3, 0.001
"""So often and so long nothing may be under way."""
BATCH = 64
"""So many reads one thread makes before it is another's turn."""
THREADS = 7
"""Enough that every copy of every profile is some thread's."""


def make_reads(
    paths: Sequence[Path],
    reads: Sequence[DirectRead],
    capture: DirectIoCapture,
    filesystem: BtrfsFilesystem,
) -> list[DirectRead]:
    """Make all reads, of the files at `paths` in the file system; return them with what came of them."""
    done: list[DirectRead] = []
    with (
        _threads() as pools,
        _opened(paths) as files,
        _damaged(filesystem) as devices,
        mmap.mmap(-1, MEMORY_BYTES) as memory,
    ):
        # Pages that were never touched would make the kernel give up reading directly.
        memory[:] = bytes([POISON]) * MEMORY_BYTES
        for number, begin in enumerate(range(0, len(reads), BATCH)):
            batch = reads[begin : begin + BATCH]
            pool = pools[number % THREADS]
            work = pool.submit(_make, files, devices, filesystem.devices, memory, begin, batch, capture)
            done += work.result()
            capture.drain()
    return done


def _make(
    files: Sequence[int],
    devices: DamagedDevices,
    paths: Sequence[Path],
    memory: mmap.mmap,
    begin: int,
    batch: Sequence[DirectRead],
    capture: DirectIoCapture,
) -> list[DirectRead]:
    tid = threading.get_native_id()
    made = []
    with memoryview(memory) as view, Aio.opened() as aio:
        for number, read in enumerate(batch, begin):
            if not read.cached:
                os.posix_fadvise(files[read.file], 0, 0, os.POSIX_FADV_DONTNEED)
            elif read.drop_bytes:
                place = read.drop_from, read.drop_bytes
                os.posix_fadvise(files[read.file], *place, os.POSIX_FADV_DONTNEED)
            if not read.follows:
                devices.damage(read.copies)
            capture.number(number)
            done = _one(files[read.file], view, read, aio)
            if done.returned < _expected(files[read.file], read):
                _wait_until_idle(paths)
            made.append(replace(done, tid=tid, copies=devices.look()))
    return made


def _expected(fd: int, read: DirectRead) -> int:
    """Return how much a read returns that nothing goes wrong with."""
    return min(sum(length for _, length in read.iov), max(0, os.fstat(fd).st_size - read.offset))


def _wait_until_idle(devices: Sequence[Path]) -> None:
    """Wait until nothing is under way: a read that fails does not wait for all that was read ahead."""
    files = [Path("/sys/block") / device.name / "inflight" for device in devices]
    for _ in range(IDLE_LOOKS):
        while any(set(file.read_text().split()) != {"0"} for file in files):
            time.sleep(IDLE_S)
        # What ends may lead to more, by a worker.
        time.sleep(IDLE_S)


@contextmanager
def _damaged(filesystem: BtrfsFilesystem) -> Iterator[DamagedDevices]:
    # Devices are numbered as they were given to mkfs.btrfs, which numbers them from 1.
    backing = dict(enumerate(filesystem.backing_files, 1))
    with DamagedDevices.opened(backing, dict(enumerate(filesystem.disks, 1))) as devices:
        yield devices


def _one(fd: int, view: memoryview, read: DirectRead, aio: Aio) -> DirectRead:
    flags = os.RWF_NOWAIT if read.nowait else 0
    if read.aio:
        start = ctypes.addressof(ctypes.c_char.from_buffer(view))
        vectors = [(start + base, length) for base, length in read.iov]
        returned = aio.preadv(fd, vectors, read.offset, flags)
    else:
        returned = _preadv(fd, [view[base : base + length] for base, length in read.iov], read.offset, flags)
    with view[: read.memory_bytes] as used:
        digest = crc32c.crc32c(used)
        _fill(used)
    return replace(read, returned=returned, digest=digest)


def _preadv(fd: int, vectors: list[memoryview], offset: int, flags: int) -> int:
    try:
        return os.preadv(fd, vectors, offset, flags)
    except OSError as error:
        return -(error.errno or 0)
    finally:
        for vector in vectors:
            vector.release()


def _fill(used: memoryview) -> None:
    whole = (ctypes.c_char * len(used)).from_buffer(used)
    ctypes.memset(whole, POISON, len(used))


@contextmanager
def _threads() -> Iterator[list[ThreadPoolExecutor]]:
    with ExitStack() as made:
        yield [made.enter_context(ThreadPoolExecutor(1, f"reads {n}")) for n in range(THREADS)]


@contextmanager
def _opened(paths: Sequence[Path]) -> Iterator[list[int]]:
    opened: list[int] = []
    try:
        for path in paths:
            opened.append(os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC))
            # So it is known which pages a read that is not direct will get.
            os.posix_fadvise(opened[-1], 0, 0, os.POSIX_FADV_RANDOM)
        yield opened
    finally:
        for fd in opened:
            os.close(fd)
