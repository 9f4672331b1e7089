# SPDX-License-Identifier: GPL-2.0-or-later
"""Bios: which stripes they read, and which pages are in them."""

from __future__ import annotations

import errno

from reference.direct_io.mapping import btrfs_map_num_copies, btrfs_map_to_stripe
from reference.direct_io.rfc_2010.bio import bio_add_page, bio_get, bio_put
from reference.direct_io.rfc_2010.biodone import btrfs_dio_bi_end_io
from reference.direct_io.rfc_2010.memory import PAGE_SIZE, page_cache_release
from reference.direct_io.rfc_2010.structs import DIOLOCK, BtrfsDioDev, BtrfsDioExtcb
from reference.direct_io.rfc_2010.user_memory import (
    btrfs_dio_get_user_bvec,
    btrfs_dio_not_aligned,
    btrfs_dio_put_user_bvec,
)
from reference.machine import Bug, Steps

__all__ = ["btfrs_dio_unplug", "btrfs_dio_read_stripes"]


def btrfs_dio_read_stripes(
    extcb: BtrfsDioExtcb, rd_start: int, rd_len: int, *, temp_pages: bool
) -> Steps[tuple[int, int, int]]:
    """Read `rd_len` bytes from the logical address `rd_start` on, into user memory or temporary pages.

    Returns 0 or -errno, and start and length of what was not submitted: something is left, without an error,
    when the extcb has as many bios as fit.
    """
    kernel = extcb.diocb.kernel
    behaviour = kernel.behaviour
    while rd_len:
        found = _aligned_stripe(extcb, rd_start, rd_len, temp_pages=temp_pages)
        if isinstance(found, int):
            return found, rd_start, rd_len
        dvn, dev_left = found
        rd_len -= dev_left
        rd_start += dev_left
        while dev_left:
            err = _btrfs_dio_new_bio(extcb, dvn)
            if err:
                if not behaviour.failed_bio_counts_unread:
                    rd_len += dev_left
                    rd_start -= dev_left
                return err, rd_start, rd_len
            bio = extcb.diodev[dvn].bio
            assert bio is not None
            extcb.order.append(bio)
            add_pages = _btrfs_dio_add_temp_pages if temp_pages else _btrfs_dio_add_user_pages
            err, dev_left = add_pages(dev_left, extcb, extcb.diodev[dvn])
            if not bio.bi_vcnt and not behaviour.order_keeps_freed_bio:
                extcb.order.pop()
            yield from _btrfs_dio_submit_bio(extcb, dvn)
            if err or len(extcb.order) == kernel.limits.max_stripe_segments:
                return err, rd_start - dev_left, rd_len + dev_left
    return 0, rd_start, rd_len


def _aligned_stripe(
    extcb: BtrfsDioExtcb, rd_start: int, rd_len: int, *, temp_pages: bool
) -> tuple[int, int] | int:
    """Choose a copy whose device can read what it has of the range; return the stripe and how much that is.

    The copy of choice is tried first, then all. -ENOTBLK if none can; corrected, -EIO if none is there.
    """
    kernel, em = extcb.diocb.kernel, extcb.mapped
    behaviour, chunk = kernel.behaviour, em.chunk
    assert chunk is not None
    dev_left, err = rd_len, -errno.EIO
    for mirror in range(btrfs_map_num_copies(chunk) + 1):
        info = btrfs_map_to_stripe(chunk, mirror, rd_start, dev_left, kernel.source.devices, kernel.pid)
        dvn, dev_left = info.stripe_index, info.length
        bdev = kernel.stripe_bdev(em, dvn)
        if bdev is None:
            if behaviour.asks_missing_device:
                raise Bug("NULL pointer dereference: bdev_logical_block_size() of a missing device")
            continue
        physical = info.phys_offset + chunk.stripes[dvn].offset
        extcb.diodev[dvn].physical = physical
        iomask = bdev.device.logical_block_size - 1
        if not (
            physical & iomask
            or dev_left & iomask
            or (not temp_pages and btrfs_dio_not_aligned(behaviour, iomask, dev_left, extcb.diocb.umc))
        ):
            return dvn, dev_left
        err = -errno.ENOTBLK
    return err


def btfrs_dio_unplug(extcb: BtrfsDioExtcb) -> None:
    """Let the devices begin: without effect here, but for the count (the name is the patch's)."""
    for diodev in extcb.diodev:
        diodev.unplug = 0


def _btrfs_dio_new_bio(extcb: BtrfsDioExtcb, dvn: int) -> int:
    kernel, diodev = extcb.diocb.kernel, extcb.diodev[dvn]
    bdev = kernel.stripe_bdev(extcb.mapped, dvn)
    assert bdev is not None
    vecs = bdev.device.nr_vecs
    diodev.bio = kernel.bio_alloc(vecs, bdev, diodev.physical >> 9, extcb, btrfs_dio_bi_end_io)
    if diodev.bio is None:
        return -errno.ENOMEM
    diodev.vecs = vecs
    return 0


def _btrfs_dio_submit_bio(extcb: BtrfsDioExtcb, dvn: int) -> Steps[None]:
    """Submit the bio of a stripe, or free it if there is nothing in it."""
    diodev = extcb.diodev[dvn]
    bio, diodev.bio = diodev.bio, None
    assert bio is not None
    diodev.vecs = 0
    if not bio.bi_vcnt:
        bio_put(bio)
        return
    yield DIOLOCK
    extcb.pending_bios += 1
    bio_get(bio)
    extcb.diocb.kernel.submit_bio(bio)
    bio_put(bio)
    diodev.unplug += 1


def _btrfs_dio_add_user_pages(dev_left: int, extcb: BtrfsDioExtcb, diodev: BtrfsDioDev) -> tuple[int, int]:
    """Put user pages in the bio until it is full or `dev_left` is 0; return 0 or -errno, and what is left."""
    umc, bio = extcb.active_umc, diodev.bio
    assert bio is not None
    umc.todo = dev_left
    while diodev.vecs and dev_left:
        uv = btrfs_dio_get_user_bvec(extcb.diocb.kernel, umc)
        if isinstance(uv, int):
            return uv, dev_left
        vcnt = bio.bi_vcnt
        if not bio_add_page(bio, uv.bv_page, uv.bv_len, uv.bv_offset):
            btrfs_dio_put_user_bvec(uv, umc)
            diodev.vecs = 0
            return 0, dev_left
        if bio.bi_vcnt == vcnt and not extcb.diocb.kernel.behaviour.merged_vec_leaks_page:
            page_cache_release(uv.bv_page)
        extcb.iolen += uv.bv_len
        diodev.physical += uv.bv_len
        dev_left -= uv.bv_len
        diodev.vecs -= 1
    return 0, dev_left


def _btrfs_dio_add_temp_pages(dev_left: int, extcb: BtrfsDioExtcb, diodev: BtrfsDioDev) -> tuple[int, int]:
    """Put new pages in the bio until it is full or `dev_left` is 0; return 0 or -errno, and what is left."""
    bio = diodev.bio
    assert bio is not None
    while diodev.vecs and dev_left:
        pglen = min(dev_left, PAGE_SIZE)
        page = extcb.diocb.kernel.alloc_page()
        if page is None:
            return -errno.ENOMEM, dev_left
        if not bio_add_page(bio, page, pglen, 0):
            diodev.vecs = 0
            page_cache_release(page)
            return 0, dev_left
        extcb.csum_pg1 = page
        extcb.iolen += pglen
        diodev.physical += pglen
        dev_left -= pglen
        diodev.vecs -= 1
    return 0, dev_left
