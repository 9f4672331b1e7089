# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading what has no data: zeroes, and no device."""

from __future__ import annotations

from reference.direct_io.rfc_2010.structs import BtrfsDiocb
from reference.direct_io.rfc_2010.user_memory import btrfs_dio_done_with_out, btrfs_dio_get_user_bvec

__all__ = ["btrfs_dio_hole_read", "btrfs_dio_zero"]


def btrfs_dio_hole_read(diocb: BtrfsDiocb, hole_len: int) -> int:
    """Zero the user's memory and unlock the range. Returns 0 or -errno."""
    kernel = diocb.kernel
    behind = -(-(diocb.start + hole_len) // diocb.blocksize) * diocb.blocksize
    if kernel.behaviour.hole_shifts_locks:
        behind = diocb.lockstart + hole_len
    err = btrfs_dio_zero(diocb, hole_len)
    kernel.io_tree.unlock_extent(diocb.lockstart, behind - 1)
    diocb.lockstart = behind
    return err


def btrfs_dio_zero(diocb: BtrfsDiocb, length: int) -> int:
    """Zero the next `length` bytes of the user's memory, as far as they are there; return 0 or -errno."""
    diocb.umc.todo = length
    while diocb.umc.todo:
        uv = btrfs_dio_get_user_bvec(diocb.kernel, diocb.umc)
        if isinstance(uv, int):
            return uv
        diocb.start += uv.bv_len
        uv.bv_page.data[uv.bv_offset : uv.bv_offset + uv.bv_len] = bytes(uv.bv_len)
        btrfs_dio_done_with_out(diocb.kernel, uv)
    return 0
