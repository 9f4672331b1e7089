# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion: what is done with an extcb when all its bios have ended."""

from __future__ import annotations

import errno

from reference.direct_io.rfc_2010.bio import bio_put
from reference.direct_io.rfc_2010.csum import btrfs_dio_read_csum
from reference.direct_io.rfc_2010.inflate import btrfs_zlib_inflate
from reference.direct_io.rfc_2010.memory import page_cache_release
from reference.direct_io.rfc_2010.order import btrfs_dio_reset_next_in
from reference.direct_io.rfc_2010.retry import btrfs_dio_free_retry, btrfs_dio_read_retry
from reference.direct_io.rfc_2010.structs import DIOLOCK, BtrfsDiocb, BtrfsDioExtcb
from reference.direct_io.rfc_2010.user_memory import (
    btrfs_dio_done_with_out,
    btrfs_dio_get_user_bvec,
    btrfs_dio_release_unused_pages,
    btrfs_dio_skip_user_mem,
)
from reference.machine import PREEMPT, Steps

__all__ = ["btrfs_dio_complete_bios"]


def btrfs_dio_complete_bios(diocb: BtrfsDiocb) -> Steps[None]:
    """Complete what is done, the last first, until nothing is."""
    while True:
        yield DIOLOCK
        if not diocb.done_extcbs:
            break
        extcb = diocb.done_extcbs.pop()
        diocb.pending_extcbs -= 1
        yield from _complete(extcb)
    diocb.workspace = False


def _complete(extcb: BtrfsDioExtcb) -> Steps[None]:
    """Check, read again what is bad, and give the data to the user; or wait for what is being read again."""
    diocb = extcb.diocb
    err2 = extcb.error
    if diocb.terminate < extcb.filestart:
        # Something in front of it failed: nobody will look at this.
        btrfs_dio_free_retry(extcb)
        err2 = -errno.EIO
    elif err2 or extcb.retry_bio:
        err2 = yield from btrfs_dio_read_retry(extcb)
    if extcb.retry_bio:
        return
    if not err2:
        err2 = _btrfs_dio_get_workbuf(extcb)
    if not err2 and not diocb.kernel.source.nodatasum:
        err2 = yield from btrfs_dio_read_csum(extcb)
        if extcb.retry_bio:
            extcb.tmpbuf_size = 0
            return
    if not err2:
        btrfs_dio_reset_next_in(extcb)
        if not extcb.compressed:
            _btrfs_dio_read_done(extcb)
        elif not extcb.shortread:
            _btrfs_dio_decompress(extcb)
    if err2:
        extcb.error = err2
    yield from _btrfs_dio_free_extcb(extcb)
    yield PREEMPT


def _btrfs_dio_get_workbuf(extcb: BtrfsDioExtcb) -> int:
    """Get room for checksums, and for inflating; it is kept for the next extcb. 0 or -ENOMEM."""
    diocb = extcb.diocb
    if extcb.compressed:
        if not diocb.workspace and not diocb.kernel.memory_left():
            return -errno.ENOMEM
        diocb.workspace = True
    else:
        if not diocb.csum_buf and not diocb.kernel.memory_left():
            return -errno.ENOMEM
        diocb.csum_buf = True
    extcb.tmpbuf_size = diocb.kernel.limits.tmpbuf_size
    return 0


def _btrfs_dio_read_done(extcb: BtrfsDioExtcb) -> None:
    """Copy the tail of a plain extent that is good."""
    kernel, umc = extcb.diocb.kernel, extcb.active_umc
    if extcb.filetail:
        assert extcb.csum_pg1 is not None
        btrfs_dio_skip_user_mem(kernel.behaviour, umc, extcb.beforetail)
        umc.todo = extcb.filetail
        at = 0
        while umc.todo:
            uv = btrfs_dio_get_user_bvec(kernel, umc)
            if isinstance(uv, int):
                extcb.error = uv
                if not kernel.behaviour.tail_fault_misplaced:
                    extcb.filestart = extcb.fileend
                extcb.filestart -= umc.todo
                break
            data = extcb.csum_pg1.data[at : at + uv.bv_len]
            uv.bv_page.data[uv.bv_offset : uv.bv_offset + uv.bv_len] = data
            if not kernel.behaviour.tail_restarts:
                at += uv.bv_len
            btrfs_dio_done_with_out(kernel, uv)
    _btrfs_dio_release_bios(extcb, dirty=True)


def _btrfs_dio_decompress(extcb: BtrfsDioExtcb) -> None:
    """Inflate a compressed extent that is good: all of it or nothing."""
    icb = extcb.icb
    assert icb is not None
    length = icb.out_len
    extcb.error = btrfs_zlib_inflate(icb)
    if icb.out_len != length and not extcb.error:
        extcb.error = -errno.EIO
    _btrfs_dio_release_bios(extcb, dirty=False)


def _btrfs_dio_release_bios(extcb: BtrfsDioExtcb, *, dirty: bool) -> None:
    """Release all bios and their pages; `dirty`: the user's have new data."""
    for bio in extcb.order:
        for vec in bio.bi_io_vec[: bio.bi_vcnt]:
            page = vec.bv_page
            if dirty and not page.compound and page not in (extcb.csum_pg1, extcb.csum_pg2):
                page.dirty = True
            page_cache_release(page)
        bio_put(bio)
    extcb.order.clear()


def _btrfs_dio_free_extcb(extcb: BtrfsDioExtcb) -> Steps[None]:
    """Say what came of the extent, release all that it has, and unlock its range."""
    diocb, kernel = extcb.diocb, extcb.diocb.kernel
    if not extcb.error:
        extcb.error = extcb.shortread
    if extcb.error:
        yield DIOLOCK
        diocb.terminate = min(diocb.terminate, extcb.filestart)
        earlier = extcb.filestart < diocb.error_at and not kernel.behaviour.later_error_wins
        if not diocb.error or earlier:
            diocb.error, diocb.error_at = extcb.error, extcb.filestart
    btrfs_dio_free_retry(extcb)
    _btrfs_dio_release_bios(extcb, dirty=True)
    btrfs_dio_release_unused_pages(extcb.active_umc)
    kernel.io_tree.unlock_extent(extcb.lockstart, extcb.lockend)
    kernel.free_extent_map(extcb.mapped)
    diocb.under_way.remove(extcb)
    kernel.extcbs.died(extcb)
