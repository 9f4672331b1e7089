# SPDX-License-Identifier: GPL-2.0-or-later
"""The request as a whole: its checks, its reaper, its end."""

from __future__ import annotations

import errno

from reference.direct_io.rfc_2010.complete import btrfs_dio_complete_bios
from reference.direct_io.rfc_2010.kernel import Kernel
from reference.direct_io.rfc_2010.memory import PAGE_SIZE
from reference.direct_io.rfc_2010.read import btrfs_dio_read
from reference.direct_io.rfc_2010.structs import DIOLOCK, BtrfsDiocb, UserMemControl
from reference.direct_io.rfc_2010.user_memory import btrfs_dio_release_unused_pages
from reference.direct_io.source import Request
from reference.machine import Blocked, Steps

__all__ = ["EIOCBQUEUED", "btrfs_direct_IO"]

EIOCBQUEUED = 529
"""include/linux/errno.h."""


def btrfs_direct_IO(kernel: Kernel, kiocb: Request) -> Steps[int]:  # noqa: N802 - the kernel's name
    """Read; return how many bytes were read, or -errno. Without a waiter: -EIOCBQUEUED.

    What an asynchronous read returns is told to `kernel.aio_complete`. Writes are not modelled: the patch
    leaves them to the page cache.
    """
    done = 0
    if kiocb.offset & 511:
        return -errno.EINVAL
    for iov in kiocb.iov:
        if iov.iov_len and iov.iov_base & 511:
            return -errno.EINVAL
        if iov.iov_len & 511:
            return -errno.EINVAL
        done += iov.iov_len
    done = min(done, kiocb.ki_left)
    if not kernel.memory_left():
        return -errno.ENOMEM
    diocb = BtrfsDiocb(
        kernel=kernel,
        kiocb=kiocb,
        start=kiocb.offset,
        begin=kiocb.offset,
        terminate=kiocb.offset + done,
        blocksize=PAGE_SIZE,
        umc=UserMemControl(kiocb.iov, 0, *kiocb.iov[0], done, kernel.limits.gup_iosubmit_max, []),
        reaper=_btrfs_dio_reaper,
    )
    kernel.diocbs.born(diocb)
    kernel.pid = kiocb.pid
    if not kiocb.is_sync:
        kernel.queue_worker("submit", _btrfs_dio_aio_submit(diocb))
        return -EIOCBQUEUED
    yield from btrfs_dio_read(diocb)
    done = yield from _btrfs_dio_wait(diocb)
    _btrfs_dio_free_diocb(diocb)
    return done


def _btrfs_dio_reaper(diocb: BtrfsDiocb) -> Steps[None]:
    """Complete extents while others are still being submitted."""
    kernel = diocb.kernel
    yield from btrfs_dio_complete_bios(diocb)
    yield DIOLOCK
    while diocb.done_extcbs and not kernel.behaviour.reaper_misses_done:
        yield from btrfs_dio_complete_bios(diocb)
        yield DIOLOCK
    diocb.reaping = False
    if not diocb.pending_extcbs and diocb.sleeping:
        diocb.sleeping = False
        diocb.waiter_running = True
    if kernel.behaviour.reaper_uses_freed_diocb:
        yield DIOLOCK
        kernel.diocbs.check(diocb)


def _btrfs_dio_aio_submit(diocb: BtrfsDiocb) -> Steps[None]:
    """Submit, wait and complete for a user who does not wait."""
    yield from btrfs_dio_read(diocb)
    done = yield from _btrfs_dio_wait(diocb)
    diocb.kernel.aio_complete(diocb, done)
    _btrfs_dio_free_diocb(diocb)


def _btrfs_dio_wait(diocb: BtrfsDiocb) -> Steps[int]:
    """Complete what the reaper leaves; return what the read returns."""
    yield DIOLOCK
    diocb.waiter = True
    while True:
        if diocb.reaping or (diocb.pending_extcbs and not diocb.done_extcbs):
            diocb.sleeping = True
            diocb.waiter_running = False
            yield Blocked(
                lambda: diocb.waiter_running,
                "io_schedule() of btrfs_dio_wait()",
                until=lambda: not diocb.reaping and bool(diocb.done_extcbs or not diocb.pending_extcbs),
            )
        yield from btrfs_dio_complete_bios(diocb)
        yield DIOLOCK
        if not (diocb.pending_extcbs or diocb.done_extcbs):
            break
    done = min(diocb.start, diocb.terminate) - diocb.begin
    return done or diocb.error


def _btrfs_dio_free_diocb(diocb: BtrfsDiocb) -> None:
    if not diocb.kernel.behaviour.diocb_keeps_pages:
        btrfs_dio_release_unused_pages(diocb.umc)
    diocb.workspace = False
    diocb.csum_buf = False
    diocb.kernel.diocbs.died(diocb)
