# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading again, block by block and mirror by mirror, what could not be read or has a bad checksum."""

from __future__ import annotations

import errno

from reference.direct_io.mapping import btrfs_map_num_copies, btrfs_map_to_stripe
from reference.direct_io.rfc_2010.bio import Bio, BioVec, BlockDevice, bio_add_page, bio_get, bio_put
from reference.direct_io.rfc_2010.biodone import btrfs_dio_bi_end_io
from reference.direct_io.rfc_2010.memory import Page, page_cache_release
from reference.direct_io.rfc_2010.order import (
    btrfs_dio_get_next_in,
    btrfs_dio_put_next_in,
    btrfs_dio_reset_next_in,
)
from reference.direct_io.rfc_2010.structs import DIOLOCK, BtrfsDioExtcb
from reference.machine import Bug, Steps

__all__ = [
    "btrfs_dio_block_is_good",
    "btrfs_dio_free_retry",
    "btrfs_dio_read_retry",
    "btrfs_dio_retry_block",
]


def btrfs_dio_free_retry(extcb: BtrfsDioExtcb) -> None:
    """Free the bio that read a block again, and the page that a plain extent has for it."""
    bio, extcb.retry_bio = extcb.retry_bio, None
    if bio is None:
        return
    if not extcb.compressed:
        for vec in bio.bi_io_vec[: bio.bi_vcnt]:
            page_cache_release(vec.bv_page)
    bio_put(bio)


def btrfs_dio_retry_block(extcb: BtrfsDioExtcb) -> Steps[int]:
    """Read the block of `retry_start` from the next mirror. Returns 0 or -errno.

    After the last mirror, what was good before the block is what there is: 0 if that is still to be compared
    with its checksums, -EIO if not. A block is a page here, as in 2.6.33.
    """
    kernel, diocb = extcb.diocb.kernel, extcb.diocb
    btrfs_dio_free_retry(extcb)
    found = _next_mirror(extcb)
    if found is None:
        return _no_mirror_left(extcb)
    bdev, physical, length = found
    retry_bio = kernel.bio_alloc(1, bdev, physical >> 9, extcb, btrfs_dio_bi_end_io)
    if retry_bio is None:
        return -errno.ENOMEM
    extcb.retry_bio = retry_bio
    page = _retry_page(extcb)
    if page is None:
        if kernel.behaviour.retry_page_unchecked:
            raise Bug("NULL pointer dereference: adds the page that alloc_page did not give")
        btrfs_dio_free_retry(extcb)
        return -errno.ENOMEM
    added = bio_add_page(retry_bio, page, length, 0)
    assert added, "a device takes a page"
    yield DIOLOCK
    extcb.pending_bios += 1
    diocb.pending_extcbs += 1
    bio_get(retry_bio)
    kernel.submit_bio(retry_bio)
    bio_put(retry_bio)
    return 0


def _next_mirror(extcb: BtrfsDioExtcb) -> tuple[BlockDevice, int, int] | None:
    """Return device, address and length of the block's next copy, None after the last."""
    kernel, em = extcb.diocb.kernel, extcb.mapped
    chunk = em.chunk
    assert chunk is not None
    start = extcb.retry_start
    if not kernel.behaviour.retry_reads_unaligned:
        start &= ~(extcb.diocb.blocksize - 1)
    while True:
        extcb.retry_mirror += 1
        if extcb.retry_mirror > btrfs_map_num_copies(chunk):
            return None
        info = btrfs_map_to_stripe(
            chunk, extcb.retry_mirror, start, extcb.diocb.blocksize, kernel.source.devices, kernel.pid
        )
        bdev = kernel.stripe_bdev(em, info.stripe_index)
        if bdev is not None:
            return bdev, info.phys_offset + chunk.stripes[info.stripe_index].offset, info.length
        if kernel.behaviour.asks_missing_device:
            raise Bug("NULL pointer dereference: reads again from a missing device")


def _retry_page(extcb: BtrfsDioExtcb) -> Page | None:
    """Return where the block goes: compressed extents have temporary pages anyway."""
    if extcb.compressed:
        bio = extcb.order[extcb.bo_now]
        return bio.bi_io_vec[extcb.bo_bvn].bv_page
    return extcb.diocb.kernel.alloc_page()


def _no_mirror_left(extcb: BtrfsDioExtcb) -> int:
    good = extcb.retry_start - min(extcb.retry_start, extcb.iostart)
    if extcb.compressed or not good:
        return -errno.EIO
    if extcb.diocb.kernel.source.nodatasum:
        extcb.filestart += good
        return -errno.EIO
    extcb.iolen = good
    extcb.filetail = 0
    extcb.shortread = -errno.EIO
    btrfs_dio_reset_next_in(extcb)
    return 0


def _btrfs_dio_bad_bio_scan(extcb: BtrfsDioExtcb) -> Steps[int]:
    """Begin to read the next bio again that failed; with none left, all is good. Returns 0 or -errno."""
    while extcb.bo_now < len(extcb.order):
        bio = extcb.order[extcb.bo_now]
        vecs = bio.bi_io_vec[: bio.bi_vcnt]
        extcb.retry_len = sum(vec.bv_len for vec in vecs)
        if not bio.uptodate:
            extcb.bo_bvn = 0
            extcb.bo_frag = 0
            return (yield from btrfs_dio_retry_block(extcb))
        extcb.retry_start += extcb.retry_len
        extcb.bo_now += 1
    btrfs_dio_reset_next_in(extcb)
    extcb.error = 0
    return 0


def btrfs_dio_read_retry(extcb: BtrfsDioExtcb) -> Steps[int]:
    """Go on after an error: begin with the first bad bio, or take the block that was read again.

    Returns 0 or -errno; if `retry_bio` is set, another block is under way.
    """
    kernel, diocb = extcb.diocb.kernel, extcb.diocb
    if extcb.retry_bio is None:
        extcb.retry_start = extcb.iostart
        extcb.retry_mirror = 0
        return (yield from _btrfs_dio_bad_bio_scan(extcb))
    if not extcb.retry_bio.uptodate:
        return (yield from btrfs_dio_retry_block(extcb))
    extcb.error = 0
    if extcb.retry_csum is not None and _checksum(extcb, extcb.retry_bio) != extcb.retry_csum:
        return (yield from btrfs_dio_retry_block(extcb))
    done = diocb.blocksize
    if not extcb.compressed:
        done = _copy_block(extcb, extcb.retry_bio.bi_io_vec[0])
    btrfs_dio_free_retry(extcb)
    if extcb.retry_csum is not None:
        if extcb.compressed and not kernel.behaviour.compressed_csum_retry_stays:
            btrfs_dio_get_next_in(extcb)
        btrfs_dio_block_is_good(extcb)
        return 0
    if kernel.behaviour.retry_steps_whole_blocks:
        done = diocb.blocksize
    extcb.retry_start += done
    extcb.retry_mirror = 0
    extcb.retry_len = (extcb.retry_len - done) & 0xFFFFFFFF
    if extcb.retry_len:
        if extcb.compressed and not kernel.behaviour.compressed_io_retry_stays:
            extcb.bo_bvn += 1
        return (yield from btrfs_dio_retry_block(extcb))
    if extcb.compressed:
        extcb.bo_now += 1
    return (yield from _btrfs_dio_bad_bio_scan(extcb))


def _checksum(extcb: BtrfsDioExtcb, bio: Bio) -> int:
    """Return the checksum of the block that was read again."""
    source = extcb.diocb.kernel.source
    (vec,) = bio.bi_io_vec
    return source.csum_final(source.csum_data(vec.bv_page.data, 0xFFFFFFFF))


def _copy_block(extcb: BtrfsDioExtcb, retry: BioVec) -> int:
    """Copy what was read again to where the bad block was to go; return how much of the bio that was."""
    diocb = extcb.diocb
    behaviour = diocb.kernel.behaviour
    offset = extcb.retry_start & (diocb.blocksize - 1)
    left = retry.bv_len - offset
    bad_len = min(extcb.retry_len, diocb.blocksize)
    if not behaviour.retry_steps_whole_blocks:
        bad_len = min(bad_len, left)
    if bad_len > left:
        raise Bug("copies what stands behind the page that was read again")
    new = retry.bv_page.data[offset : offset + bad_len]
    at = left_over = 0
    while at < bad_len:
        bad = btrfs_dio_get_next_in(extcb)
        part = min(bad_len - at, bad.bv_len)
        bad.bv_page.data[bad.bv_offset : bad.bv_offset + part] = new[at : at + part]
        at += part
        left_over = bad.bv_len - part
    diocb.kernel.copied += bad_len
    btrfs_dio_put_next_in(extcb, left_over)
    return bad_len


def btrfs_dio_block_is_good(extcb: BtrfsDioExtcb) -> None:
    """Advance `iostart` and, in plain extents, `filestart` by a block that has the right checksum."""
    blocksize = extcb.diocb.blocksize
    extcb.iostart += blocksize
    extcb.iolen -= blocksize
    if extcb.compressed:
        return
    if not extcb.iolen and extcb.filetail:
        extcb.filestart += extcb.filetail
    else:
        extcb.filestart = (extcb.filestart + blocksize) & ~(blocksize - 1)
