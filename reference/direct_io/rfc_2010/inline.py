# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading data that are in the leaf itself, plain or compressed."""

from __future__ import annotations

import errno

from reference.direct_io.rfc_2010.hole import btrfs_dio_zero
from reference.direct_io.rfc_2010.inflate import btrfs_zlib_inflate
from reference.direct_io.rfc_2010.order import btrfs_dio_inline_next_in
from reference.direct_io.rfc_2010.structs import BtrfsDiocb, BtrfsDioExtcb, BtrfsInflate, UserMemControl
from reference.direct_io.rfc_2010.user_memory import (
    btrfs_dio_done_with_out,
    btrfs_dio_get_user_bvec,
    btrfs_dio_release_unused_pages,
)
from reference.direct_io.source import Compression, ExtentType, FileExtent

__all__ = ["LEAF_GARBAGE", "btrfs_dio_inline_read"]

LEAF_GARBAGE = 0xEE
"""What stands behind an item in its leaf."""


def btrfs_dio_inline_read(diocb: BtrfsDiocb, data_len: int) -> int:
    """Read inline data and unlock their range. Returns 0 or -errno."""
    kernel = diocb.kernel
    ends = kernel.behaviour.inline_ends_request
    behind = diocb.lockstart + data_len
    if not ends:
        behind = -(-(diocb.start + data_len) // diocb.blocksize) * diocb.blocksize
    err = _read_item(diocb, data_len)
    kernel.io_tree.unlock_extent(diocb.lockstart, behind - 1)
    diocb.lockstart = behind
    return err


def _read_item(diocb: BtrfsDiocb, data_len: int) -> int:
    """Look the item up anew (`btrfs_lookup_file_extent`) and read it; the corrected one zeroes the rest."""
    kernel, behaviour = diocb.kernel, diocb.kernel.behaviour
    item = kernel.source.extent_at(diocb.start)
    if isinstance(item, int):
        return item
    if item is None or item.type is not ExtentType.INLINE:
        return -errno.EDOM
    extent_offset = diocb.start - item.file_offset
    available = item.ram_bytes
    if behaviour.inline_ends_request and extent_offset >= available:
        kernel.log.append("inline extent leaf mismatch")
        return -errno.EDOM
    if not behaviour.inline_ignores_offset:
        available -= extent_offset
    size = min(data_len, available)
    err = 0
    if size > 0:
        read = _inflate if item.compression is Compression.ZLIB else _copy
        err = read(diocb, item, extent_offset, size)
    if err or behaviour.inline_ends_request:
        return err
    return btrfs_dio_zero(diocb, data_len - max(0, size))


def _copy(diocb: BtrfsDiocb, item: FileExtent, extent_offset: int, size: int) -> int:
    data = item.inline_data[extent_offset : extent_offset + size]
    data += bytes([LEAF_GARBAGE]) * (size - len(data))
    at = 0
    diocb.umc.todo = size
    while diocb.umc.todo:
        uv = btrfs_dio_get_user_bvec(diocb.kernel, diocb.umc)
        if isinstance(uv, int):
            return uv
        diocb.start += uv.bv_len
        uv.bv_page.data[uv.bv_offset : uv.bv_offset + uv.bv_len] = data[at : at + uv.bv_len]
        at += uv.bv_len
        btrfs_dio_done_with_out(diocb.kernel, uv)
    return 0


def _inflate(diocb: BtrfsDiocb, item: FileExtent, extent_offset: int, size: int) -> int:
    """Inflate all that is wanted or nothing: a part cannot be trusted."""
    kernel, behaviour = diocb.kernel, diocb.kernel.behaviour
    if not kernel.memory_left():
        return -errno.ENOMEM
    extcb = BtrfsDioExtcb(diocb, None, 0)
    kernel.extcbs.born(extcb)
    extcb.umc = UserMemControl((), 0, 0, 0, 0, kernel.limits.gup_iosubmit_max, diocb.umc.pagelist)
    extcb.umc.follow(diocb.umc)
    extcb.umc.todo = size
    extcb.leaf_data = item.inline_data
    # Where an item's data begin in its leaf decides how they are cut; a header comes before them.
    extcb.iostart = 101 + 25 + 21
    extcb.iolen = len(item.inline_data)
    icb = BtrfsInflate(
        out_start=extent_offset,
        out_len=size,
        get_next_in=lambda: btrfs_dio_inline_next_in(extcb),
        get_next_out=lambda: btrfs_dio_get_user_bvec(kernel, extcb.umc),
        done_with_out=lambda ovec: btrfs_dio_done_with_out(kernel, ovec),
    )
    err = btrfs_zlib_inflate(icb)
    if icb.out_len != size and not err and not behaviour.inline_short_inflate_counts:
        err = -errno.EIO
    if not err:
        diocb.start += size
    if not behaviour.inline_inflate_keeps_pages:
        btrfs_dio_release_unused_pages(extcb.umc)
    if not behaviour.inline_ends_request:
        diocb.umc.follow(extcb.umc)
    kernel.extcbs.died(extcb)
    return err
