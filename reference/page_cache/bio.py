# SPDX-License-Identifier: GPL-2.0-or-later
"""Bios and a block device that completes them when the test, or the scheduler, says so."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import NamedTuple

from reference.machine import BUG_ON, Interrupts, Slab, SlabObject, Steps
from reference.page_cache.page import Page

__all__ = ["READ", "SECTOR_SIZE", "WRITE", "Bio", "BioVec", "BlockDevice", "EndIo", "bio_get", "bio_put"]

READ = 0
WRITE = 1
SECTOR_SIZE = 512

DISK_GARBAGE = 0xDD
"""What a block has that nobody wrote: what was on the disk before."""

BOOT_BLOCK = 0xB0
"""What block 0 has."""

EndIo = Callable[["Bio", int, int], Steps[None]]
"""`bio_end_io_t`: the bio, the bytes done, 0 or -errno."""


class BioVec(NamedTuple):
    """`struct bio_vec`: `bv_len` bytes of a page from `bv_offset` on."""

    bv_page: Page
    bv_len: int
    bv_offset: int


class Bio(SlabObject):
    """`struct bio`: a transfer between `bi_sector` on and the pages of its vectors."""

    __slots__ = (
        "bi_bdev",
        "bi_cnt",
        "bi_end_io",
        "bi_io_vec",
        "bi_private",
        "bi_sector",
        "bi_size",
        "uptodate",
    )

    def __init__(
        self, bdev: BlockDevice, sector: int, vecs: list[BioVec], end_io: EndIo, private: object
    ) -> None:
        self.bi_bdev = bdev
        self.bi_sector = sector
        self.bi_io_vec = vecs
        self.bi_end_io = end_io
        self.bi_private = private
        self.bi_size = sum(vec.bv_len for vec in vecs)
        self.bi_cnt = 1
        self.uptodate = True
        bdev.bios.born(self)

    def __repr__(self) -> str:
        vec = self.bi_io_vec[0]
        return f"bio sector {self.bi_sector}: page {vec.bv_page.index} +{vec.bv_offset} {vec.bv_len} bytes"


def bio_get(bio: Bio) -> None:
    """Take a reference (include/linux/bio.h)."""
    bio.bi_bdev.bios.check(bio)
    bio.bi_cnt += 1


def bio_put(bio: Bio) -> None:
    """Drop a reference; the last one frees the bio (fs/bio.c)."""
    bio.bi_bdev.bios.check(bio)
    bio.bi_cnt -= 1
    if bio.bi_cnt == 0:
        bio.bi_bdev.bios.died(bio)


class BlockDevice:
    """A disk of `size` bytes. A submitted bio is an interrupt that is due in `interrupts`; what it transfers
    moves when that is delivered.

    `failing(rw, bio)` says which bios fail, with -EIO and nothing transferred.
    """

    def __init__(self, size: int, block_size: int, interrupts: Interrupts) -> None:
        self.data = bytearray([DISK_GARBAGE]) * size
        self.data[:block_size] = bytes([BOOT_BLOCK]) * block_size
        self.interrupts = interrupts
        self.bios = Slab("bio")
        self.submitted = 0
        self.failing: Callable[[int, Bio], bool] = _never

    def __repr__(self) -> str:
        return "the disk"

    def submit_bio(self, rw: int, bio: Bio) -> None:
        """Queue `bio` (block/ll_rw_blk.c). Its pages are kept alive by PG_locked or PG_writeback alone."""
        self.bios.check(bio)
        end = bio.bi_sector * SECTOR_SIZE + bio.bi_size
        BUG_ON(bio.bi_sector < 0 or end > len(self.data), "attempt to access beyond end of device")
        self.submitted += 1
        name = f"bio {self.submitted} {('READ', 'WRITE')[rw]} {self._where(bio)}"
        self.interrupts.raise_irq(name, self._complete(rw, bio))

    def _where(self, bio: Bio) -> str:
        vec = bio.bi_io_vec[0]
        return f"page {vec.bv_page.index} +{vec.bv_offset}"

    def _complete(self, rw: int, bio: Bio) -> Steps[None]:
        done = bio.bi_size
        error = -errno.EIO if self.failing(rw, bio) else 0
        if error:
            bio.uptodate = False
        else:
            self._transfer(rw, bio)
        bio.bi_size = 0
        yield from bio.bi_end_io(bio, done, error)

    def _transfer(self, rw: int, bio: Bio) -> None:
        at = bio.bi_sector * SECTOR_SIZE
        for page, size, offset in bio.bi_io_vec:
            page.slab.check(page)
            if rw == READ:
                page.data[offset : offset + size] = self.data[at : at + size]
            else:
                self.data[at : at + size] = page.data[offset : offset + size]
            at += size


def _never(rw: int, bio: Bio) -> bool:
    del rw, bio
    return False
