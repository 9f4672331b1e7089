# SPDX-License-Identifier: GPL-2.0-or-later
"""A crash experiment on the running kernel: work is logged, then sets begin on what crashes leave."""

from __future__ import annotations

import errno
import mmap
import os
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.bcache.crash.damages import damaged
from harness.bcache.crash.failing import FAILED, Bad, Request, choose_bad, requests
from harness.bcache.crash.moments import Moment, choose, disk_at
from harness.bcache.crash.plan import Batch, CrashPlan, Write, batches
from harness.bcache.crash.predict import predict
from harness.bcache.crash.record import WINDOW_BYTES, CrashRecord, Recovery
from harness.bcache.crash.rig import Rig, rig
from harness.bcache.crash.stamps import WRONG, Stamps, content, stamps_of
from harness.bcache.crash.write_log import SECTOR, Entry
from harness.record.kmsg import KernelLog
from loopdevs import Bcache, LoopdevsError, Workspace
from loopdevs.bcache_control import cache_set_of, sysfs_of
from loopdevs.bcache_layout import DATA_OFFSET_BYTES

__all__ = ["BEGIN", "changed_windows", "record_crashes", "recover_from", "work"]

BEGIN = "begin"
"""Mark in the log: from here on, the set is at work."""
_CHUNK = 1 << 20
_READ_SECTORS = 64
_WORKERS = 4
_ERRORS = 10_000


def record_crashes(
    plan: CrashPlan,
    seed: int,
    count: int,
    workspace: Workspace,
    damages: Sequence[str] = (),
    failing: int = 0,
) -> CrashRecord:
    """Do the work of a plan, choose `count` moments, and have the kernel recover from each.

    Then have it recover from one that has work for the journal, with each of these damages besides; and from
    so many of the moments while parts of both devices fail.

    LoopdevsError when a device cannot be made. What the kernel refuses is part of the record.
    """
    with rig(plan, workspace) as made:
        made.mark(BEGIN)
        work(made.bcache, plan, seed, made.mark)
        made.bcache.stop()
        entries = made.end_log()
        begin = next(n for n, entry in enumerate(entries) if entry.mark == BEGIN)
        moments = choose(entries, begin, count, random.Random(seed))
        log = KernelLog()
        try:
            recoveries = [_recover(made, disk_at(entries, m, made.disks), m, log) for m in moments]
            flushed = max(n for n, entry in enumerate(entries) if entry.mark) + 1
            last = Moment(flushed, "lazy", 0)
            disk = disk_at(entries, last, made.disks)
            for name in damages:
                broken = damaged(disk, made.disks, name)
                recoveries.append(replace(_recover(made, broken, last, log), damage=name))
            last_ones = moments[len(moments) - failing :]
            recoveries += [_read_failing(made, disk_at(entries, m, made.disks), m, log) for m in last_ones]
        finally:
            log.close()
        return CrashRecord(plan, seed, made.disks, entries, recoveries)


def recover_from(plan: CrashPlan, seed: int, entries: Sequence[Entry], workspace: Workspace) -> CrashRecord:
    """Have the kernel recover from what was logged elsewhere by the end of `entries`.

    InfrastructureError where that is no set of the plan's sizes.
    """
    with rig(plan, workspace) as made:
        made.bcache.stop()
        made.end_log()
        moment = Moment(len(entries), "lazy", 0)
        disk = disk_at(entries, moment, made.disks)
        made.take(disk)
        log = KernelLog()
        try:
            recovery = _recover(made, disk, moment, log)
        finally:
            log.close()
        return CrashRecord(plan, seed, made.disks, entries, [recovery])


def work(bcache: Bcache, plan: CrashPlan, seed: int, mark: Callable[[str], None]) -> None:
    """Do the work of a plan, and tell `mark` what the kernel said to be durable."""
    device = bcache.device
    fd = os.open(device, os.O_RDWR | os.O_DIRECT)
    try:
        with ThreadPoolExecutor(_WORKERS) as pool:
            for batch in batches(plan, seed):
                list(pool.map(lambda write: _write(fd, write), batch.writes))
                _after(bcache, mark, fd, batch)
    finally:
        os.close(fd)


def _write(fd: int, write: Write) -> None:
    size = write.sectors * SECTOR
    with mmap.mmap(-1, size) as buffer:
        buffer.write(content(write.number, write.sector, write.sectors))
        flags = os.RWF_DSYNC if write.fua else 0
        if os.pwritev(fd, [buffer], write.sector * SECTOR, flags) != size:
            raise LoopdevsError(f"a write of {size} bytes was cut short")


def _after(bcache: Bcache, mark: Callable[[str], None], fd: int, batch: Batch) -> None:
    """Tell what is durable by now, and do what follows the batch."""
    if fua := [str(write.number) for write in batch.writes if write.fua]:
        mark(f"fua-{'.'.join(fua)}")
    if batch.flush:
        os.fsync(fd)
        mark(f"flushed-{batch.writes[-1].number}")
    if batch.read is not None:
        with mmap.mmap(-1, _READ_SECTORS * SECTOR) as buffer:
            os.preadv(fd, [buffer], batch.read * SECTOR)
    if batch.collect:
        folder = cache_set_of(bcache.cache)
        assert folder is not None
        (folder / "internal" / "trigger_gc").write_text("1")
    if batch.write_back:
        bcache.flush()


def _recover(made: Rig, disk: bytearray, moment: Moment, log: KernelLog) -> Recovery:
    """Let the kernel begin with a disk, read all that it shows, stop it, and see what it left on the disk."""
    made.put(disk)
    said = len(log.lines())
    try:
        made.bcache.register()
    except LoopdevsError as error:
        made.bcache.stop()
        return Recovery(moment, log.lines()[said:], refused=str(error))
    # Reading fills no cache in this mode, and what is cached is read from there all the same.
    folder = sysfs_of(made.bcache.backing)
    (folder / "cache_mode").write_text("none")
    state = made.bcache.state
    stamps = _read_all(made.bcache.device, made.plan.layout.backing_bytes - DATA_OFFSET_BYTES)
    made.bcache.stop()
    offsets, blocks = changed_windows(disk, made.content())
    return Recovery(moment, log.lines()[said:], None, state, stamps, offsets, blocks)


def _read_failing(made: Rig, disk: bytearray, moment: Moment, log: KernelLog) -> Recovery:
    """Let the kernel begin with a disk of which parts fail, and read around them."""
    predicted = predict(disk, made.disks)
    block = made.plan.layout.block_bytes // SECTOR
    bad = choose_bad(predicted, block, moment.seed)
    made.put(disk)
    said = len(log.lines())
    made.fail(bad)
    made.bcache.register()
    (sysfs_of(made.bcache.backing) / "cache_mode").write_text("none")
    (sysfs_of(made.bcache.backing) / "writeback_running").write_text("0")
    # Some errors are enough for bcache to give up a device.
    for folder in (sysfs_of(made.bcache.backing), cache_set_of(made.bcache.cache)):
        assert folder
        (folder / "io_error_limit").write_text(str(_ERRORS))
    reads = [_read_one(made.bcache.device, each) for each in requests(predicted, bad, block, moment.seed)]
    made.bcache.stop()
    made.fail(Bad(frozenset(), frozenset()))
    return Recovery(moment, log.lines()[said:], None, reads=reads)


def _read_one(device: Path, request: Request) -> list[int] | None:
    fd = os.open(device, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, request.sectors * SECTOR) as buffer:
            if os.preadv(fd, [buffer], request.sector * SECTOR) != request.sectors * SECTOR:
                return FAILED
            return list(map(int, stamps_of(buffer[:], request.sector)))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return FAILED
    finally:
        os.close(fd)


def _read_all(device: Path, size: int) -> Stamps:
    found = []
    fd = os.open(device, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, _CHUNK) as buffer:
            for offset in range(0, size, _CHUNK):
                wanted = min(_CHUNK, size - offset)
                found.append(_read(fd, buffer, offset, wanted))
    finally:
        os.close(fd)
    return np.concatenate(found)


def _read(fd: int, buffer: mmap.mmap, offset: int, size: int) -> Stamps:
    with memoryview(buffer) as view:
        try:
            read = os.preadv(fd, [view[:size]], offset)
        except OSError:
            read = 0
        if read != size:
            return np.full(size // SECTOR, WRONG)
        return stamps_of(bytes(view[:size]), offset // SECTOR)


def changed_windows(before: bytes | bytearray, after: bytes | bytearray) -> tuple[Sequence[int], bytes]:
    """Return the numbers of the windows of 4 KiB that differ, and what is in them."""
    old, new = (np.frombuffer(data, "u1").reshape(-1, WINDOW_BYTES) for data in (before, after))
    [windows] = np.nonzero((old != new).any(1))
    return windows.tolist(), new[windows].tobytes()
