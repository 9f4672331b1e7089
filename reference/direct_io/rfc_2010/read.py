# SPDX-License-Identifier: GPL-2.0-or-later
"""Submission: locks the range and reads it extent by extent."""

from __future__ import annotations

import errno

from reference.direct_io.rfc_2010.behaviour import Behaviour
from reference.direct_io.rfc_2010.extent import btrfs_dio_compressed_read, btrfs_dio_extent_read
from reference.direct_io.rfc_2010.hole import btrfs_dio_hole_read
from reference.direct_io.rfc_2010.inline import btrfs_dio_inline_read
from reference.direct_io.rfc_2010.structs import BtrfsDiocb, ExtentMap
from reference.direct_io.source import Compression, ExtentType
from reference.machine import PREEMPT, Bug, Steps

__all__ = ["btrfs_dio_read"]


def btrfs_dio_read(diocb: BtrfsDiocb) -> Steps[None]:
    """Submit the whole request, or as much as can be; what went wrong is in `diocb.error`."""
    kernel, io_tree = diocb.kernel, diocb.kernel.io_tree
    err = yield from _locked_read(diocb)
    if err and (not diocb.error or diocb.start <= diocb.error_at or kernel.behaviour.later_error_wins):
        diocb.error, diocb.error_at = err, diocb.start
    if diocb.lockstart <= diocb.lockend:
        io_tree.unlock_extent(diocb.lockstart, diocb.lockend)


def _locked_read(diocb: BtrfsDiocb) -> Steps[int]:
    """Lock and submit; what stays locked for nobody is [lockstart, lockend]. Return 0 or -errno."""
    kernel = diocb.kernel
    end = diocb.terminate
    first = True
    diocb.lockstart = diocb.start & ~(diocb.blocksize - 1)
    while True:
        yield from kernel.mutex_lock()
        end = min(end, kernel.i_size)
        if end <= diocb.start:
            kernel.mutex_unlock()
            if not kernel.behaviour.unlocks_unlocked:
                diocb.lockend = diocb.lockstart - 1
            return 0
        if first:
            first = False
            diocb.terminate = end
            diocb.lockend = -(-end // diocb.blocksize) * diocb.blocksize - 1
        if kernel.faults.ordered_error:
            kernel.mutex_unlock()
            diocb.lockend = diocb.lockstart - 1
            return kernel.faults.ordered_error
        yield from kernel.io_tree.lock_extent(diocb.lockstart, diocb.lockend)
        kernel.mutex_unlock()
        err = yield from _read_extents(diocb, end)
        if err is not None:
            return err


def _read_extents(diocb: BtrfsDiocb, end: int) -> Steps[int | None]:
    """Submit up to `end`. None: another range must be locked, and this one is not any more."""
    kernel = diocb.kernel
    data_len = end - diocb.start
    while data_len and not diocb.error:
        em = kernel.get_extent(diocb.start, data_len)
        if isinstance(em, int):
            if kernel.behaviour.get_extent_error_unchecked:
                raise Bug(f"uses ERR_PTR({em}) as an extent map")
            return em
        if em.vacancy:
            kernel.log.append("extent map incomplete")
            if not kernel.behaviour.vacancy_leaks_em:
                kernel.free_extent_map(em)
            return -errno.EIO
        if _wants_more_locked(diocb, em):
            kernel.io_tree.unlock_extent(diocb.lockstart, diocb.lockend)
            diocb.lockstart = em.start
            diocb.lockend = max(diocb.lockend, em.start + em.length - 1)
            kernel.free_extent_map(em)
            return None
        length = _part_of(em, diocb.start, data_len, kernel.behaviour)
        err = yield from _read_one(diocb, em, length, eof=length == data_len)
        kernel.free_extent_map(em)
        data_len -= length
        if err:
            return err
        yield PREEMPT
    return 0


def _part_of(em: ExtentMap, start: int, data_len: int, behaviour: Behaviour) -> int:
    """Return how much of the request is in this extent."""
    assert em.item is not None
    if em.item.type is ExtentType.INLINE and behaviour.inline_ends_request:
        return data_len
    return min(data_len, em.length - (start - em.start))


def _wants_more_locked(diocb: BtrfsDiocb, em: ExtentMap) -> bool:
    """Return whether it is a compressed extent, which is read as a whole, and not locked as a whole."""
    if not _is_compressed(em):
        return False
    return diocb.lockstart > em.start or diocb.lockend < em.start + em.length - 1


def _is_compressed(em: ExtentMap) -> bool:
    item = em.item
    assert item is not None
    return item.type is ExtentType.REG and bool(item.disk_bytenr) and item.compression != Compression.NONE


def _read_one(diocb: BtrfsDiocb, em: ExtentMap, length: int, *, eof: bool) -> Steps[int]:
    item = em.item
    assert item is not None
    if item.type is ExtentType.INLINE:
        return btrfs_dio_inline_read(diocb, length)
    if item.type is ExtentType.PREALLOC or not item.disk_bytenr:
        return btrfs_dio_hole_read(diocb, length)
    if _is_compressed(em):
        return (yield from btrfs_dio_compressed_read(diocb, em, length))
    return (yield from btrfs_dio_extent_read(diocb, em, length, eof=eof))
