# SPDX-License-Identifier: GPL-2.0-or-later
"""Random cases: every kind of extent, every profile, odd memory, and all that can go wrong."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Protocol, TypeVar

from reference.direct_io.source import SINGLE, IoVec
from reference.direct_io.synthetic import (
    BLOCK,
    SECTOR,
    Case,
    ChunkSpec,
    DiskSpec,
    ExtentSpec,
    FaultSpec,
)
from reference.ondisk import BlockGroupFlag

__all__ = ["Random", "generate"]

T = TypeVar("T")

_LIMITS = (
    (32, 64, 33, BLOCK),
    (32, 64, 33, BLOCK),
    (32, 64, 33, BLOCK),
    (32, 2, 33, BLOCK),
    (32, 64, 2, 8),
    (3, 2, 33, 8),
    (2, 64, 33, BLOCK),
    (2, 3, 1, BLOCK),
)
_SECTORS = (SECTOR, SECTOR, 1024, BLOCK)
_KINDS = ("hole", "prealloc", "plain", "plain", "plain", "plain", "zlib", "zlib", "missing", "unreadable")
_PROFILES = (
    (SINGLE, 1),
    (BlockGroupFlag.DUP, 2),
    (BlockGroupFlag.RAID0, 2),
    (BlockGroupFlag.RAID0, 3),
    (BlockGroupFlag.RAID1, 2),
    (BlockGroupFlag.RAID1, 2),
    (BlockGroupFlag.RAID1C3, 3),
    (BlockGroupFlag.RAID1C4, 4),
    (BlockGroupFlag.RAID10, 4),
    (BlockGroupFlag.RAID10, 6),
)


class Random(Protocol):
    """The part of random.Random that is used: models have no randomness of their own."""

    def random(self) -> float:
        """Return a number x, 0 <= x < 1."""

    def randrange(self, stop: int, /) -> int:
        """Return a number from 0 to `stop` - 1."""


def generate(rng: Random) -> Case:
    """Return a random case. The same random numbers give the same case."""
    extents = _extents(rng)
    sectors = _SECTORS if _chance(rng, 0.3) else (SECTOR,)
    disks = tuple(_disk(rng, sectors) for _ in range(6))
    chunks = tuple(_chunk(rng) for _ in range(2))
    blocks = sum(extent.blocks for extent in extents)
    cut = rng.randrange(BLOCK) if _chance(rng, 0.5) else 0
    i_size = blocks * BLOCK - cut
    offset = rng.randrange(i_size // SECTOR + 2) * SECTOR if _chance(rng, 0.6) else 0
    iov = _iov(rng, i_size - offset)
    unlucky = rng.random()
    return Case(
        extents=extents,
        chunks=chunks,
        disks=disks,
        cut=cut,
        nodatasum=_chance(rng, 0.25),
        zero_csum=_zero_csum(rng, extents),
        faults=_faults(rng, extents),
        offset=offset + (rng.randrange(SECTOR) if unlucky < 0.01 else 0),
        iov=iov,
        ki_left=rng.randrange(sum(v.iov_len for v in iov) + 1) & -SECTOR if _chance(rng, 0.05) else None,
        is_sync=_chance(rng, 0.6),
        pid=rng.randrange(12),
        unmapped=_unmapped(rng, iov) if _chance(rng, 0.08) else (),
        compound=_chance(rng, 0.1),
        limits=_limits(rng, extents),
        allocations=(1 + rng.randrange(_one(rng, (8, 16, 40))),) if _chance(rng, 0.06) else (),
        ordered_error=-errno.EIO if 0.01 < unlucky < 0.02 else 0,
        order=rng.randrange(1 << 30),
    )


def _chance(rng: Random, probability: float) -> bool:
    return rng.random() < probability


def _one(rng: Random, values: Sequence[T]) -> T:
    return values[rng.randrange(len(values))]


def _extents(rng: Random) -> tuple[ExtentSpec, ...]:
    extents = [_inline(rng)] if _chance(rng, 0.2) else []
    wanted = 1 + rng.randrange(5)
    while len(extents) < wanted and not (extents and _chance(rng, 0.2)):
        extents.append(_extent(rng))
    return tuple(extents)


def _inline(rng: Random) -> ExtentSpec:
    kind = "inline" if _chance(rng, 0.5) else "inline-zlib"
    return ExtentSpec(kind, content=rng.randrange(50), inline_bytes=1 + rng.randrange(BLOCK - 1))


def _extent(rng: Random) -> ExtentSpec:
    kind = _one(rng, _KINDS)
    if kind in ("missing", "unreadable") and _chance(rng, 0.8):
        kind = "plain"
    blocks = 1 + rng.randrange(6 if _chance(rng, 0.9) else 24)
    partial = kind in ("plain", "zlib") and _chance(rng, 0.3)
    return ExtentSpec(
        kind,
        blocks,
        before=rng.randrange(4) if partial else 0,
        after=rng.randrange(3) if partial else 0,
        content=rng.randrange(50),
        chunk=rng.randrange(2),
        gap=rng.randrange(17) if _chance(rng, 0.3) else 0,
    )


def _chunk(rng: Random) -> ChunkSpec:
    profile, stripes = _one(rng, _PROFILES)
    if profile is SINGLE or profile is BlockGroupFlag.DUP:
        devices = (1 + rng.randrange(6),) * stripes
    else:
        first = rng.randrange(6)
        devices = tuple((first + index) % 6 + 1 for index in range(stripes))
    return ChunkSpec(profile, devices, _one(rng, (64 << 10, 64 << 10, 8 << 10, BLOCK)))


def _disk(rng: Random, sectors: Sequence[int]) -> DiskSpec:
    return DiskSpec(
        logical_block_size=_one(rng, sectors),
        nr_vecs=_one(rng, (128, 128, 128, 1, 2, 3)),
        max_bytes=_one(rng, (512 << 10, 512 << 10, 512 << 10, 8 << 10, BLOCK)),
        missing=_chance(rng, 0.03),
    )


def _iov(rng: Random, left: int) -> tuple[IoVec, ...]:
    """Return vectors for about `left` bytes: one piece or many, apart, adjacent, empty or twice."""
    aligned = _chance(rng, 0.4)
    unit = BLOCK if aligned else SECTOR
    left = max(0, left)
    wanted = left + (rng.randrange(5) - 2) * SECTOR if _chance(rng, 0.7) else rng.randrange(1 + left)
    wanted = max(1, -(-wanted // unit)) * unit
    pieces = 1 if _chance(rng, 0.5) else 1 + rng.randrange(6)
    iov: list[IoVec] = []
    address = 0x10000 + (0 if aligned else rng.randrange(8) * SECTOR)
    for piece in range(pieces):
        length = wanted if piece == pieces - 1 else rng.randrange(wanted // unit + 1) * unit
        wanted -= length
        choice = rng.random()
        if choice < 0.06 and iov:
            address = iov[-1].iov_base
        elif choice < 0.4:
            address += rng.randrange(9) * unit
        elif choice < 0.7:
            address = (address & -BLOCK) + BLOCK * (1 + rng.randrange(3)) + (0 if aligned else SECTOR)
        iov.append(IoVec(address + (1 if not length and choice > 0.9 else 0), length))
        address += length
    if _chance(rng, 0.01):
        iov[0] = IoVec(iov[0].iov_base + 1, iov[0].iov_len)
    elif _chance(rng, 0.01):
        iov[-1] = IoVec(iov[-1].iov_base, iov[-1].iov_len + 1)
    return tuple(iov)


def _unmapped(rng: Random, iov: Sequence[IoVec]) -> tuple[int, ...]:
    base, length = _one(rng, iov)
    return ((base + rng.randrange(length + 1)) // BLOCK,)


def _limits(rng: Random, extents: Sequence[ExtentSpec]) -> tuple[int, int, int, int]:
    """Return the patch's limits or smaller ones; a compressed extent must fit in a control block."""
    limits = _one(rng, _LIMITS)
    return _LIMITS[0] if limits[0] < 32 and any(e.kind == "zlib" for e in extents) else limits


def _zero_csum(rng: Random, extents: Sequence[ExtentSpec]) -> tuple[int, int] | None:
    if not _chance(rng, 0.1):
        return None
    number = rng.randrange(len(extents))
    extent = extents[number]
    if extent.kind != "plain":
        return None
    return number, extent.before + rng.randrange(extent.blocks)


def _faults(rng: Random, extents: Sequence[ExtentSpec]) -> tuple[FaultSpec, ...]:
    faults: list[FaultSpec] = []
    while _chance(rng, 0.5 if not faults else 0.7) and len(faults) < 8:
        number = rng.randrange(len(extents))
        extent = extents[number]
        total = extent.before + extent.blocks + extent.after
        block = rng.randrange(total if extent.kind != "zlib" else max(1, total * 2 // 3))
        kind = _one(rng, ("corrupt",) * 9 + ("bad",) * 9 + ("csum-missing", "csum-wrong", "stream", "short"))
        if kind == "csum-wrong" and _chance(rng, 0.1):
            kind = "csum-unreadable"
        copy = rng.randrange(4)
        if kind in ("corrupt", "bad") and _chance(rng, 0.2):
            faults += [FaultSpec(kind, number, block, each) for each in range(4)]
        else:
            faults.append(FaultSpec(kind, number, block, copy))
    return tuple(faults)
