# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes direct reads, one after the other, in threads of different numbers."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path

import crc32c

from harness.direct_io.aio import Aio, Asked
from harness.direct_io.capture import DirectIoCapture
from harness.direct_io.damage import DamagedDevices
from harness.direct_io.pages import wait_for_data
from harness.direct_io.record import DirectRead
from harness.direct_io.threads import Threads
from loopdevs import BtrfsFilesystem

__all__ = ["MEMORY_BYTES", "POISON", "make_reads"]

POISON = 0xA5
"""What the memory is filled with before each read."""
MEMORY_BYTES = 16 << 20
BATCH = 64
"""So many reads one thread makes before it is another's turn."""


def make_reads(
    paths: Sequence[Path],
    reads: Sequence[DirectRead],
    capture: DirectIoCapture,
    filesystem: BtrfsFilesystem,
) -> list[DirectRead]:
    """Make all reads, of the files at `paths` in the file system; return them with what came of them.

    A read that bears the number of the thread that made it once is made by one that is like it (`Threads`).
    """
    done: list[DirectRead] = []
    with (
        opened_files(paths) as files,
        _damaged(filesystem) as devices,
        mmap.mmap(-1, MEMORY_BYTES) as memory,
        # They end first: whatever breaks this off, a thread may still be reading into the memory.
        Threads() as threads,
    ):
        # Pages that were never touched would make the kernel give up reading directly.
        memory[:] = bytes([POISON]) * MEMORY_BYTES
        for number, batch in enumerate(_batches(reads)):
            pool = threads.like(batch[0].tid) if batch[0].tid else threads.turn(number)
            work = pool.submit(_make, files, devices, filesystem.devices, memory, len(done), batch, capture)
            done += work.result()
            capture.drain()
    return done


def _batches(reads: Sequence[DirectRead]) -> Iterator[Sequence[DirectRead]]:
    """Yield what one thread makes before it is another's turn."""
    for _, same in groupby(reads, lambda read: read.tid):
        while batch := list(islice(same, BATCH)):
            yield batch


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
    faulty = any(read.copies for read in batch)
    with memoryview(memory) as view, Aio.opened() as aio:
        for number, read in enumerate(batch, begin):
            if not read.cached:
                os.posix_fadvise(files[read.file], 0, 0, os.POSIX_FADV_DONTNEED)
            elif read.drop_bytes:
                place = read.drop_from, read.drop_bytes
                os.posix_fadvise(files[read.file], *place, os.POSIX_FADV_DONTNEED)
            if not read.follows:
                devices.damage(read.copies)
            if faulty:
                capture.drain()
            capture.number(number)
            done = _one(files[read.file], view, read, aio)
            if faulty:
                # What is still under way may repair a copy.
                inode = os.fstat(files[read.file]).st_ino
                wait_for_data(files[read.file], capture.new_pages(inode), paths)
            made.append(replace(done, tid=tid, copies=devices.look()))
    return made


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
        [returned] = aio.read_all([Asked(fd, vectors, read.offset, flags)])
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
def opened_files(paths: Sequence[Path]) -> Iterator[list[int]]:
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
