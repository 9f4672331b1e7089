# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparing what was read with the checksums, block by block."""

from __future__ import annotations

import errno

from reference.direct_io.rfc_2010.bio import BioVec
from reference.direct_io.rfc_2010.order import btrfs_dio_get_next_in, btrfs_dio_put_next_in
from reference.direct_io.rfc_2010.retry import btrfs_dio_block_is_good, btrfs_dio_retry_block
from reference.direct_io.rfc_2010.structs import BtrfsDioExtcb
from reference.machine import Steps

__all__ = ["btrfs_dio_read_csum"]

CSUM_SIZE = 4
"""Of crc32c (`btrfs_super_csum_size`)."""


def btrfs_dio_read_csum(extcb: BtrfsDioExtcb) -> Steps[int]:
    """Compare from `iostart` on; at the first bad block, begin to read it again. Returns 0 or -errno.

    `filestart` follows, to say where the good data end.
    """
    source = extcb.diocb.kernel.source
    blocksize = extcb.diocb.blocksize
    iolen_per_csum_buf = blocksize * (extcb.tmpbuf_size // CSUM_SIZE)
    if extcb.iolen & (blocksize - 1):
        extcb.diocb.kernel.log.append("unaligned checksum")
        extcb.iolen &= ~(blocksize - 1)
    ivec: BioVec | None = None
    while extcb.iolen:
        length = min(extcb.iolen, iolen_per_csum_buf)
        fs_csums = [source.csum_at(extcb.iostart + at) for at in range(0, length, blocksize)]
        failed = next((csum for csum in fs_csums if csum is not None and csum < 0), 0)
        if failed:
            extcb.diocb.kernel.log.append("csum lookup failed")
            return failed
        for fs_csum in fs_csums:
            csum, ivec = _checksum(extcb, ivec)
            if csum != fs_csum:
                left = ivec.bv_len if ivec else 0
                return (yield from _bad_block(extcb, fs_csum, left))
            btrfs_dio_block_is_good(extcb)
    return 0


def _checksum(extcb: BtrfsDioExtcb, ivec: BioVec | None) -> tuple[int, BioVec | None]:
    """Return the checksum of the next block, and what is left of the vector in which it ends."""
    source = extcb.diocb.kernel.source
    csum = ~0 & 0xFFFFFFFF
    csum_len = extcb.diocb.blocksize
    while csum_len:
        if ivec is None or not ivec.bv_len:
            ivec = btrfs_dio_get_next_in(extcb)
        part = min(ivec.bv_len, csum_len)
        page = ivec.bv_page
        page.slab.check(page)
        csum = source.csum_data(memoryview(page.data)[ivec.bv_offset : ivec.bv_offset + part], csum)
        ivec.bv_offset += part
        ivec.bv_len -= part
        csum_len -= part
    return source.csum_final(csum), ivec


def _bad_block(extcb: BtrfsDioExtcb, fs_csum: int | None, left: int) -> Steps[int]:
    """Begin to read the block again that was compared last; `left` is what follows it in its vector."""
    behaviour = extcb.diocb.kernel.behaviour
    extcb.diocb.kernel.log.append("csum failed")
    if extcb.shortread and (behaviour.gives_up_after_short or extcb.compressed):
        return -errno.EIO
    if fs_csum is None or (fs_csum == 0 and behaviour.zero_csum_is_missing):
        return -errno.EIO
    extcb.retry_csum = fs_csum
    extcb.retry_start = extcb.iostart
    extcb.retry_mirror = 0
    extcb.retry_len = extcb.diocb.blocksize
    btrfs_dio_put_next_in(extcb, left + extcb.diocb.blocksize)
    return (yield from btrfs_dio_retry_block(extcb))
