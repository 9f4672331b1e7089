# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading extents that have data on devices: whole compressed ones, and parts of plain ones."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from reference.direct_io.rfc_2010.biodone import btrfs_dio_extcb_biodone
from reference.direct_io.rfc_2010.order import btrfs_dio_inflate_next_in
from reference.direct_io.rfc_2010.stripes import btfrs_dio_unplug, btrfs_dio_read_stripes
from reference.direct_io.rfc_2010.structs import (
    DIOLOCK,
    BtrfsDiocb,
    BtrfsDioExtcb,
    BtrfsInflate,
    ExtentMap,
)
from reference.direct_io.rfc_2010.user_memory import (
    btrfs_dio_done_with_out,
    btrfs_dio_get_user_bvec,
    btrfs_dio_skip_user_mem,
)
from reference.machine import BUG_ON, Steps

__all__ = ["btrfs_dio_compressed_read", "btrfs_dio_extent_read"]


def _btrfs_dio_new_extcb(diocb: BtrfsDiocb, em: ExtentMap) -> BtrfsDioExtcb | None:
    """Make the control block for what `em`, a chunk, has of an extent; None without memory."""
    assert em.chunk is not None
    if not diocb.kernel.memory_left():
        return None
    extcb = BtrfsDioExtcb(diocb, em, len(em.chunk.stripes))
    diocb.kernel.extcbs.born(extcb)
    diocb.under_way.append(extcb)
    return extcb


def btrfs_dio_compressed_read(diocb: BtrfsDiocb, lem: ExtentMap, data_len: int) -> Steps[int]:
    """Read all of a compressed extent into temporary pages, to inflate `data_len` bytes. 0 or -errno."""
    kernel, item = diocb.kernel, lem.item
    assert item is not None
    em = kernel.lookup_extent_mapping(item.disk_bytenr)
    extcb = _btrfs_dio_new_extcb(diocb, em)
    if extcb is None:
        kernel.free_extent_map(em)
        return -errno.ENOMEM
    extcb.lockstart = diocb.lockstart
    extcb.lockend = diocb.lockstart + lem.length - 1
    diocb.lockstart += lem.length
    extcb.compressed = True
    extcb.iostart = item.disk_bytenr
    extcb.fileend = diocb.start + data_len
    origin = lem.start if kernel.behaviour.compressed_ignores_offset else lem.orig_start
    extcb.icb = BtrfsInflate(
        out_start=diocb.start - origin,
        out_len=data_len,
        get_next_in=lambda: btrfs_dio_inflate_next_in(extcb),
        get_next_out=lambda: btrfs_dio_get_user_bvec(kernel, extcb.active_umc),
        done_with_out=lambda ovec: btrfs_dio_done_with_out(kernel, ovec),
    )
    extcb.umc.todo = data_len
    err, _, left = yield from btrfs_dio_read_stripes(
        extcb, item.disk_bytenr, item.disk_num_bytes, temp_pages=True
    )
    if left and not err:
        err = -errno.EIO
    if not err:
        diocb.start += data_len
    elif not kernel.behaviour.failed_compressed_is_inflated:
        extcb.shortread = err
    btrfs_dio_skip_user_mem(kernel.behaviour, diocb.umc, data_len)
    yield from _submitted(extcb)
    return err


def _submitted(extcb: BtrfsDioExtcb) -> Steps[None]:
    """Let the extent be completed, at once if none of its bios is under way."""
    btfrs_dio_unplug(extcb)
    yield DIOLOCK
    extcb.diocb.pending_extcbs += 1
    btrfs_dio_extcb_biodone(extcb)


@dataclass(slots=True)
class _Part:
    """What is left to submit of an extent: [what the checksum needs | user data | file tail | checksum].

    `data_len` is all of it where the C's loop begins, and the user data in the middle of the loop.
    """

    data_start: int
    data_len: int
    csum_before: int = 0
    csum_after: int = 0
    filetail: int = 0


def btrfs_dio_extent_read(diocb: BtrfsDiocb, lem: ExtentMap, data_len: int, *, eof: bool) -> Steps[int]:
    """Read `data_len` bytes of a plain extent, and around them what their checksums need. 0 or -errno."""
    kernel, item = diocb.kernel, lem.item
    assert item is not None
    part = _whole(diocb, item.disk_bytenr + item.offset + diocb.start - lem.start, data_len, eof=eof)
    behind = _align(diocb.start + data_len, diocb.blocksize)
    while part.data_len:
        em = kernel.lookup_extent_mapping(part.data_start)
        extcb = _btrfs_dio_new_extcb(diocb, em)
        if extcb is None:
            kernel.free_extent_map(em)
            return -errno.ENOMEM
        extcb.iostart = part.data_start
        extcb.lockstart = diocb.lockstart
        if kernel.behaviour.nodatasum_shifts_locks:
            behind = diocb.lockstart + part.data_len
        diocb.lockstart = behind
        extcb.lockend = diocb.lockstart - 1
        err, filelen = yield from _submit_part(diocb, extcb, part, eof=eof)
        if err and not kernel.source.nodatasum and not kernel.behaviour.failed_submit_counts_partial_block:
            filelen = max(0, filelen - (extcb.iolen & (diocb.blocksize - 1)))
        diocb.start += filelen + extcb.filetail
        extcb.fileend = diocb.start
        if part.data_len and not err and not kernel.behaviour.nodatasum_shifts_locks:
            extcb.lockend = diocb.start - 1
            diocb.lockstart = diocb.start
        extcb.active_umc = extcb.umc
        yield from _submitted(extcb)
        if err:
            return err
    return 0


def _whole(diocb: BtrfsDiocb, data_start: int, data_len: int, *, eof: bool) -> _Part:
    part = _Part(data_start, data_len)
    part.filetail = (data_start + data_len) & (diocb.blocksize - 1)
    if not diocb.kernel.source.nodatasum:
        part.csum_before = data_start & (diocb.blocksize - 1)
        if part.filetail:
            part.csum_after = diocb.blocksize - part.filetail
    part.filetail = _btrfs_dio_eof_tail(part.filetail, eof=eof)
    part.data_start -= part.csum_before
    part.data_len += part.csum_before + part.csum_after
    return part


def _btrfs_dio_eof_tail(filetail: int, *, eof: bool) -> int:
    """Return how much behind the last sector of the request the file still has."""
    return filetail & 511 if eof else 0


def _submit_part(
    diocb: BtrfsDiocb, extcb: BtrfsDioExtcb, part: _Part, *, eof: bool
) -> Steps[tuple[int, int]]:
    """Submit as much of `part` as an extcb can have; return 0 or -errno, and the bytes of user memory.

    The three reads of the C's loop: in front of the user's first byte, the user's, behind his last.
    """
    if part.csum_before:
        part.data_len -= part.csum_before
        err, part.data_start, part.csum_before = yield from btrfs_dio_read_stripes(
            extcb, part.data_start, part.csum_before, temp_pages=True
        )
        if err:
            return err, 0
        BUG_ON(part.csum_before, "csum_before")
    part.data_len -= part.csum_after + part.filetail
    filelen = part.data_len
    if part.data_len:
        extcb.active_umc = diocb.umc
        err, part.data_start, part.data_len = yield from btrfs_dio_read_stripes(
            extcb, part.data_start, part.data_len, temp_pages=False
        )
        filelen -= part.data_len
        if err:
            return err, filelen
    err = 0
    if part.data_len:
        err = yield from _split(diocb, extcb, part, filelen, eof=eof)
    elif part.csum_after or part.filetail:
        err = yield from _read_tail(extcb, part, filelen)
    return err, filelen


def _split(diocb: BtrfsDiocb, extcb: BtrfsDioExtcb, part: _Part, filelen: int, *, eof: bool) -> Steps[int]:
    """End an extcb that has all the bios it can have, and leave in `part` what the next one gets.

    With checksums it has to end with a block. What the block lacks is read into a temporary page, for which
    there is one more bio, and copied on completion like a file tail.
    """
    behaviour = diocb.kernel.behaviour
    if not diocb.kernel.source.nodatasum and extcb.iolen & (diocb.blocksize - 1):
        align_size = diocb.blocksize - (extcb.iolen & (diocb.blocksize - 1))
        part.data_len += part.filetail
        if part.data_len <= align_size:
            filetail = part.data_len
            part.data_len = 0
            if not behaviour.split_reads_tail_again:
                part.csum_after = part.filetail = 0
        else:
            filetail = align_size
            end = part.data_start + part.data_len
            part.filetail = end & (diocb.blocksize - 1)
            part.data_len -= align_size
            part.csum_after = diocb.blocksize - part.filetail if part.filetail else 0
            part.filetail = _btrfs_dio_eof_tail(part.filetail, eof=eof)
            if not behaviour.split_counts_tail_twice:
                part.data_len -= part.filetail
        extcb.csum_pg2 = extcb.csum_pg1
        err, part.data_start, left = yield from btrfs_dio_read_stripes(
            extcb, part.data_start, align_size, temp_pages=True
        )
        if err or left:
            return err or -errno.EIO
        extcb.filetail = filetail
        btrfs_dio_skip_user_mem(behaviour, diocb.umc, filetail)
        extcb.beforetail = filelen
    part.data_len += part.csum_after + part.filetail
    extcb.lockend -= part.data_len
    diocb.lockstart = extcb.lockend + 1
    return 0


def _read_tail(extcb: BtrfsDioExtcb, part: _Part, filelen: int) -> Steps[int]:
    """Read the end of the last block: the file's tail, to be copied, and what the checksum needs."""
    extcb.csum_pg2 = extcb.csum_pg1
    length = -(-(part.csum_after + part.filetail) // 512) * 512
    err, part.data_start, left = yield from btrfs_dio_read_stripes(
        extcb, part.data_start, length, temp_pages=True
    )
    if err:
        return err
    BUG_ON(left, "csum_after")
    extcb.filetail = part.filetail
    extcb.beforetail = filelen
    return 0


def _align(value: int, size: int) -> int:
    return -(-value // size) * size
