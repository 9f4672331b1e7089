# SPDX-License-Identifier: GPL-2.0-or-later
"""The walk over what an extcb has read: its bios in file order, vector by vector."""

from __future__ import annotations

import errno

from reference.direct_io.rfc_2010.bio import BioVec
from reference.direct_io.rfc_2010.memory import PAGE_SIZE
from reference.direct_io.rfc_2010.structs import BtrfsDioExtcb
from reference.machine import Bug

__all__ = [
    "btrfs_dio_get_next_in",
    "btrfs_dio_inflate_next_in",
    "btrfs_dio_inline_next_in",
    "btrfs_dio_put_next_in",
    "btrfs_dio_reset_next_in",
]


def btrfs_dio_reset_next_in(extcb: BtrfsDioExtcb) -> None:
    """Go back to the beginning."""
    extcb.bo_now = 0
    extcb.bo_bvn = 0
    extcb.bo_frag = 0


def btrfs_dio_get_next_in(extcb: BtrfsDioExtcb) -> BioVec:
    """Return the next vector, or what was given back of it. Raises Bug where the C runs past `order`."""
    if extcb.bo_now >= len(extcb.order):
        raise Bug("NULL pointer dereference: order[] behind the last bio")
    bio = extcb.order[extcb.bo_now]
    vcnt = bio.bi_vcnt
    vec = bio.bi_io_vec[extcb.bo_bvn].copy()
    if extcb.bo_frag:
        vec.bv_offset += vec.bv_len - extcb.bo_frag
        vec.bv_len = extcb.bo_frag
        extcb.bo_frag = 0
    extcb.bo_bvn += 1
    if extcb.bo_bvn == vcnt:
        extcb.bo_now += 1
        extcb.bo_bvn = 0
    return vec


def btrfs_dio_put_next_in(extcb: BtrfsDioExtcb, length: int) -> None:
    """Give back the last `length` bytes of what was got, to get them again."""
    while length:
        if extcb.bo_frag:
            length += extcb.bo_frag
            extcb.bo_frag = 0
        elif extcb.bo_bvn:
            extcb.bo_bvn -= 1
        else:
            extcb.bo_now -= 1
            extcb.bo_bvn = extcb.order[extcb.bo_now].bi_vcnt - 1
        bv_len = extcb.order[extcb.bo_now].bi_io_vec[extcb.bo_bvn].bv_len
        if length < bv_len:
            extcb.bo_frag = length
            return
        length -= bv_len


def btrfs_dio_inflate_next_in(extcb: BtrfsDioExtcb) -> BioVec | int:
    """Return the next page of a compressed extent."""
    if extcb.bo_now == len(extcb.order) and not extcb.diocb.kernel.behaviour.inflate_overruns_input:
        return -errno.EIO
    return btrfs_dio_get_next_in(extcb)


def btrfs_dio_inline_next_in(extcb: BtrfsDioExtcb) -> bytes | int:
    """Return the next part of compressed inline data, up to the end of the leaf's page."""
    if not extcb.iolen:
        if extcb.diocb.kernel.behaviour.inflate_overruns_input:
            raise Bug("inflates what stands behind the inline item, for ever")
        return -errno.EIO
    length = min(extcb.iolen, PAGE_SIZE - extcb.iostart % PAGE_SIZE)
    at = len(extcb.leaf_data) - extcb.iolen
    extcb.iostart += length
    extcb.iolen -= length
    return extcb.leaf_data[at : at + length]
