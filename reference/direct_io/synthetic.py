# SPDX-License-Identifier: GPL-2.0-or-later
"""Synthetic files on synthetic devices, from a description that can be written down, and made smaller."""

from __future__ import annotations

import errno
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from reference.direct_io.naive_map import copies
from reference.direct_io.source import SINGLE, Compression, ExtentType, FileExtent, IoVec, Request
from reference.ondisk import BlockGroupFlag, Chunk, ChunkStripe

__all__ = [
    "BLOCK",
    "Case",
    "ChunkSpec",
    "Disk",
    "DiskSpec",
    "ExtentSpec",
    "FaultSpec",
    "SyntheticFile",
    "build",
    "content",
]

BLOCK = 4096
SECTOR = 512
_UNWRITTEN = b"\xdd" * BLOCK


@dataclass(frozen=True, slots=True)
class ExtentSpec:
    """An extent of the file, behind the one before it."""

    kind: str
    """hole, prealloc, plain, zlib, inline, inline-zlib; missing (no item), unreadable (its leaf is bad)."""
    blocks: int = 1
    """Of the file."""
    before: int = 0
    """Blocks that the extent has in front of the file's part: it was overwritten, or cloned in part."""
    after: int = 0
    """The same, behind."""
    content: int = 0
    """Which data."""
    chunk: int = 0
    gap: int = 0
    """Free blocks in front of it in its chunk."""
    inline_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ChunkSpec:
    """A chunk."""

    profile: BlockGroupFlag = SINGLE
    devices: tuple[int, ...] = (1,)
    """Devids of its stripes."""
    stripe_len: int = 64 << 10
    """Real file systems have 64 KiB; with less, little data reach the next stripe."""


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """A device; the first has devid 1."""

    logical_block_size: int = SECTOR
    nr_vecs: int = 128
    max_bytes: int = 512 << 10
    missing: bool = False


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """What is wrong with a block of an extent on disk, counted from the extent's beginning."""

    kind: str
    """corrupt, bad (cannot be read); csum-missing, csum-wrong, csum-unreadable; of compressed data, before
    checksums: stream (broken off), short (ends too early)."""
    extent: int
    block: int = 0
    copy: int = 0
    """For corrupt and bad: which copy."""


@dataclass(frozen=True, slots=True)
class Case:
    """A file, what is wrong with it, a read of it, and what else fails."""

    extents: tuple[ExtentSpec, ...]
    chunks: tuple[ChunkSpec, ...] = (ChunkSpec(),)
    disks: tuple[DiskSpec, ...] = (DiskSpec(),)
    cut: int = 0
    """Bytes of the last block that the file does not have."""
    nodatasum: bool = False
    zero_csum: tuple[int, int] | None = None
    """Extent and block whose checksum is 0."""
    faults: tuple[FaultSpec, ...] = ()
    offset: int = 0
    iov: tuple[IoVec, ...] = (IoVec(0x10000, BLOCK),)
    ki_left: int | None = None
    is_sync: bool = True
    pid: int = 0
    unmapped: tuple[int, ...] = ()
    """Numbers of pages of user memory that are not there."""
    compound: bool = False
    limits: tuple[int, int, int, int] = (32, 64, 33, BLOCK)
    """Those of the patch (`rfc_2010.Limits`)."""
    allocations: tuple[int, ...] = ()
    """Which of the read's allocations fail, counted from 1."""
    ordered_error: int = 0
    order: int = 0
    """Seed of the order in which completions come and tasks take turns."""

    @property
    def request(self) -> Request:
        """The read."""
        total = sum(iov.iov_len for iov in self.iov)
        left = total if self.ki_left is None else self.ki_left
        return Request(self.offset, self.iov, left, self.is_sync, self.pid)

    @property
    def i_size(self) -> int:
        """Length of the file."""
        return max(0, sum(spec.blocks for spec in self.extents) * BLOCK - self.cut)

    def memory_pages(self) -> set[int]:
        """Return the numbers of the pages around all vectors that are mapped."""
        pages: set[int] = set()
        for base, length in self.iov:
            pages.update(range((base >> 12) - 1, (base + length + BLOCK - 1 >> 12) + 1))
        return pages - set(self.unmapped)


@dataclass(slots=True)
class Disk:
    """A device whose blocks are in memory."""

    logical_block_size: int
    nr_vecs: int
    max_bytes: int
    blocks: dict[int, bytes] = field(default_factory=dict)
    """By physical address / 4096."""
    bad: set[int] = field(default_factory=set)
    """Blocks that cannot be read."""

    def read(self, physical: int, length: int) -> bytes | None:
        """Return what is there; None if a block is bad or the address is no multiple of the block size."""
        if (physical | length) & (self.logical_block_size - 1):
            return None
        first, last = physical // BLOCK, (physical + length - 1) // BLOCK
        numbers = range(first, last + 1)
        if self.bad and not self.bad.isdisjoint(numbers):
            return None
        data = b"".join([self.blocks.get(number, _UNWRITTEN) for number in numbers])
        start = physical - first * BLOCK
        return data[start : start + length] if len(data) != length else data


@dataclass(slots=True)
class SyntheticFile:
    """A file as `Source` wants it."""

    i_size: int
    nodatasum: bool
    devices: dict[int, Disk]
    extents: list[FileExtent]
    chunks: list[Chunk]
    csums: dict[int, int | None] = field(default_factory=dict)
    unreadable: set[int] = field(default_factory=set)
    """File offsets of items that cannot be read."""
    salt: int = 0
    """What checksums are combined with, so that one of them is 0."""
    starts: list[int] = field(default_factory=list)

    def extent_at(self, offset: int) -> FileExtent | int | None:
        """Return the item that covers `offset`; inline data cover their block."""
        index = bisect_right(self.starts, offset) - 1
        if index < 0:
            return None
        item = self.extents[index]
        if item.file_offset in self.unreadable:
            return -errno.EIO
        end = -(-item.end // BLOCK) * BLOCK
        return item if offset < end else None

    def chunk_at(self, logical: int) -> Chunk:
        """Return the chunk with `logical`."""
        return next(c for c in self.chunks if c.start <= logical < c.start + c.length)

    def csum_at(self, logical: int) -> int | None:
        """Return the checksum of the block at `logical`."""
        return self.csums.get(logical)

    def csum_data(self, data: bytes | bytearray | memoryview, csum: int) -> int:
        """Go on with a checksum."""
        return zlib.crc32(data, csum)

    def csum_final(self, csum: int) -> int:
        """Return what is stored for a block."""
        return csum ^ self.salt

    def csum_of(self, block: bytes) -> int:
        """Return the checksum of a whole block."""
        return self.csum_final(self.csum_data(block, 0xFFFFFFFF))


def _noise(length: int) -> bytes:
    state, out = 12345, bytearray()
    for _ in range(length):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        out.append(state >> 16 & 0xFF)
    return bytes(out)


_NOISE = _noise(64 << 10)
CHUNK_BYTES = 64 << 20


@lru_cache(maxsize=4096)
def content(number: int, block: int) -> bytes:
    """Return block `block` of data `number`: noise, the same each time, and no two alike."""
    at = (number * 7919 + block * 104729) % (len(_NOISE) - BLOCK)
    return _NOISE[at : at + BLOCK]


@lru_cache(maxsize=4096)
def _compressed(number: int, blocks: int, broken: int, short: int) -> bytes:
    """Return data `number` compressed, filled up to whole blocks.

    `broken`: from that block on the stream is not zlib's; `short`: it has only so many blocks. -1 is neither.
    """
    plain = _uncompressed(number, blocks)
    data = zlib.compress(plain if short < 0 else plain[: short * BLOCK + 100], 1)
    data += bytes(-len(data) % BLOCK)
    if broken >= 0:
        at = min(broken * BLOCK, len(data) - BLOCK)
        data = data[: at + 8] + bytes(len(data) - at - 8)
    return data


def _uncompressed(number: int, blocks: int) -> bytes:
    """Return what compresses a little."""
    plain = b"".join(content(number, block)[: BLOCK if block % 3 else 64] for block in range(blocks))
    return plain + bytes(blocks * BLOCK - len(plain))


def build(case: Case) -> SyntheticFile:
    """Make the file of `case`, with copies, checksums and faults."""
    disks = {
        devid: Disk(spec.logical_block_size, spec.nr_vecs, spec.max_bytes)
        for devid, spec in enumerate(case.disks, 1)
        if not spec.missing
    }
    chunks = [_chunk(number, spec) for number, spec in enumerate(case.chunks)]
    file = SyntheticFile(case.i_size, case.nodatasum, disks, [], chunks)
    used = [0] * len(chunks)
    data: list[bytes] = []
    position = 0
    for number, spec in enumerate(case.extents):
        chunk = chunks[spec.chunk % len(chunks)]
        slot = spec.chunk % len(chunks)
        disk_bytenr = chunk.start + (used[slot] + spec.gap) * BLOCK
        item, stored = _item(case, number, spec, position, disk_bytenr)
        data.append(stored)
        if item is not None:
            file.extents.append(item)
            file.starts.append(position)
            used[slot] += spec.gap + len(stored) // BLOCK
            if spec.kind == "unreadable":
                file.unreadable.add(position)
        position += spec.blocks * BLOCK
    if case.zero_csum is not None:
        extent, block = case.zero_csum
        victim = data[extent][block * BLOCK : (block + 1) * BLOCK]
        file.salt = zlib.crc32(victim, 0xFFFFFFFF) if victim else 0
    _store(case, file, data)
    return file


def _chunk(number: int, spec: ChunkSpec) -> Chunk:
    stripes = tuple(
        ChunkStripe(devid, ((number + 1) << 30) + (index << 27)) for index, devid in enumerate(spec.devices)
    )
    sub_stripes = 2 if spec.profile is BlockGroupFlag.RAID10 else 1
    logical = (number + 1) << 32
    return Chunk(logical, CHUNK_BYTES, spec.profile, stripes, sub_stripes, spec.stripe_len)


def _item(
    case: Case, number: int, spec: ExtentSpec, position: int, disk_bytenr: int
) -> tuple[FileExtent | None, bytes]:
    """Return the item of an extent and what is stored for it on devices."""
    num_bytes = spec.blocks * BLOCK
    total = spec.before + spec.blocks + spec.after
    broken, short = (
        next((f.block for f in case.faults if f.kind == kind and f.extent == number), -1)
        for kind in ("stream", "short")
    )
    if spec.kind == "missing":
        return None, b""
    if spec.kind in ("hole", "unreadable"):
        return FileExtent(position, num_bytes=num_bytes, ram_bytes=num_bytes), b""
    if spec.kind.startswith("inline"):
        plain = content(spec.content, 0)[: spec.inline_bytes]
        if spec.kind == "inline":
            return FileExtent(
                position, ExtentType.INLINE, ram_bytes=spec.inline_bytes, inline_data=plain
            ), b""
        packed = zlib.compress(plain if short < 0 else plain[: len(plain) // 2])
        packed = packed[: len(packed) // 2] if broken >= 0 else packed
        return FileExtent(
            position, ExtentType.INLINE, Compression.ZLIB, spec.inline_bytes, inline_data=packed
        ), b""
    if spec.kind == "zlib":
        stored = _compressed(spec.content, total, broken, short)
        return FileExtent(
            position,
            ExtentType.REG,
            Compression.ZLIB,
            total * BLOCK,
            disk_bytenr,
            len(stored),
            spec.before * BLOCK,
            num_bytes,
        ), stored
    kind = ExtentType.PREALLOC if spec.kind == "prealloc" else ExtentType.REG
    stored = b"".join([content(spec.content, block) for block in range(total)])
    offset, length = spec.before * BLOCK, total * BLOCK
    item = FileExtent(position, kind, Compression.NONE, length, disk_bytenr, length, offset, num_bytes)
    return item, stored


def _store(case: Case, file: SyntheticFile, data: list[bytes]) -> None:
    """Write all copies and checksums, then what is wrong with them."""
    by_position = {item.file_offset: item for item in file.extents}
    position = 0
    for number, spec in enumerate(case.extents):
        item = by_position.get(position)
        position += spec.blocks * BLOCK
        if item is None or not data[number]:
            continue
        faults = [fault for fault in case.faults if fault.extent == number]
        chunk = file.chunk_at(item.disk_bytenr)
        for block, plain in enumerate(_blocks(data[number])):
            logical = item.disk_bytenr + block * BLOCK
            if not case.nodatasum:
                file.csums[logical] = file.csum_of(plain)
            places = copies(chunk, logical)
            for devid, physical in places:
                if devid in file.devices:
                    file.devices[devid].blocks[physical // BLOCK] = plain
            for fault in faults:
                if fault.block == block:
                    _break(file, fault, logical, places)


def _blocks(data: bytes) -> Iterator[bytes]:
    return (data[at : at + BLOCK] for at in range(0, len(data), BLOCK))


def _break(file: SyntheticFile, fault: FaultSpec, logical: int, places: list[tuple[int, int]]) -> None:
    if fault.kind == "csum-missing":
        file.csums[logical] = None
    elif fault.kind == "csum-wrong":
        file.csums[logical] = ((file.csums.get(logical) or 0) + 1) & 0xFFFFFFFF
    elif fault.kind == "csum-unreadable":
        file.csums[logical] = -errno.EIO
    elif fault.kind in ("corrupt", "bad"):
        devid, physical = places[fault.copy % len(places)]
        disk = file.devices.get(devid)
        if disk is None:
            return
        if fault.kind == "bad":
            disk.bad.add(physical // BLOCK)
        else:
            disk.blocks[physical // BLOCK] = content(1000 + fault.copy, logical // BLOCK % 977)
