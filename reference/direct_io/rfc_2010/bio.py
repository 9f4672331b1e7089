# SPDX-License-Identifier: GPL-2.0-or-later
"""Bios as Linux 2.6.33 has them (fs/bio.c)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reference.direct_io.rfc_2010.memory import Page
from reference.direct_io.source import Device
from reference.machine import Slab, SlabObject, Steps

__all__ = ["Bio", "BioVec", "BlockDevice", "bio_add_page", "bio_get", "bio_put"]


@dataclass(slots=True)
class BioVec:
    """`struct bio_vec`: `bv_len` bytes of a page from `bv_offset` on."""

    bv_page: Page
    bv_len: int
    bv_offset: int

    def copy(self) -> BioVec:
        """Return one that can be changed by itself, as assigning the structure does in C."""
        return BioVec(self.bv_page, self.bv_len, self.bv_offset)


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """`struct block_device`: a device and its number in the file system."""

    devid: int
    device: Device


class Bio(SlabObject):
    """`struct bio` with room for `max_vecs` vectors."""

    __slots__ = (
        "bi_bdev",
        "bi_end_io",
        "bi_io_vec",
        "bi_max_vecs",
        "bi_private",
        "bi_sector",
        "bi_size",
        "cnt",
        "slab",
        "uptodate",
    )

    def __init__(
        self,
        slab: Slab,
        max_vecs: int,
        bdev: BlockDevice,
        sector: int,
        private: object,
        end_io: Callable[[Bio, int], Steps[None]],
    ) -> None:
        self.slab = slab
        self.bi_max_vecs = max_vecs
        self.bi_bdev = bdev
        self.bi_sector = sector
        self.bi_private = private
        self.bi_end_io = end_io
        self.bi_io_vec: list[BioVec] = []
        self.bi_size = 0
        self.cnt = 1
        self.uptodate = True
        """BIO_UPTODATE of `bi_flags`."""
        slab.born(self)

    def __repr__(self) -> str:
        return f"bio of device {self.bi_bdev.devid} sector {self.bi_sector}, {self.bi_size} bytes"

    @property
    def bi_vcnt(self) -> int:
        """How many vectors it has; reading a freed bio's is a use after free."""
        self.slab.check(self)
        return len(self.bi_io_vec)


def bio_get(bio: Bio) -> None:
    """Take a reference (include/linux/bio.h)."""
    bio.slab.check(bio)
    bio.cnt += 1


def bio_put(bio: Bio) -> None:
    """Drop a reference; the last one frees the bio."""
    bio.slab.check(bio)
    bio.cnt -= 1
    if bio.cnt == 0:
        bio.slab.died(bio)


def bio_add_page(bio: Bio, page: Page, length: int, offset: int) -> int:
    """Add a part of a page; 0 if the device does not take it, else `length`.

    What follows the last vector in the same page makes that longer (`__bio_add_page`).
    """
    if bio.bi_size + length > bio.bi_bdev.device.max_bytes:
        return 0
    prev = bio.bi_io_vec[-1] if bio.bi_io_vec else None
    if prev is not None and prev.bv_page is page and prev.bv_offset + prev.bv_len == offset:
        prev.bv_len += length
    elif len(bio.bi_io_vec) >= bio.bi_max_vecs:
        return 0
    else:
        bio.bi_io_vec.append(BioVec(page, length, offset))
    bio.bi_size += length
    return length
