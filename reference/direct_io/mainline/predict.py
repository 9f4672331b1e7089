# SPDX-License-Identifier: GPL-2.0-or-later
"""What a direct read of mainline returns, through which path, with which bios.

The parts of `btrfs_direct_read` and `btrfs_dio_iomap_begin` (fs/btrfs/direct-io.c, inode.c before 6.11) that
decide something, with nobody else working on the file, its pages not in memory, and the user's pages
present.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.buffered import Extent, buffered
from reference.direct_io.mainline.repair import BLOCK, BioRange, first_mirror, place, read_block
from reference.direct_io.source import Compression, ExtentType, FileExtent, IoVec, Request, Source
from reference.ondisk import BlockGroupFlag, Chunk

__all__ = ["How", "Part", "Prediction", "predict"]

_STRIPED = BlockGroupFlag.RAID0 | BlockGroupFlag.RAID10


class How(Enum):
    """The way of a part of a read."""

    DIRECT = "direct"
    HOLE = "hole"
    """Direct, without a device: zeroed."""
    BUFFERED = "buffered"
    """Through the page cache."""


class Part(NamedTuple):
    """A part of the request, by file offset."""

    start: int
    end: int
    how: How


@dataclass
class Prediction:
    """What comes of a read."""

    result: int = 0
    """Bytes, or -errno."""
    parts: list[Part] = field(default_factory=list)
    """In order; neighbours of the same way are one."""
    bios: list[BioRange] = field(default_factory=list)
    """First reads of what is direct, in order, as they are cut (`block_bio_queue`)."""
    retried: list[BioRange] = field(default_factory=list)
    repaired: list[BioRange] = field(default_factory=list)
    corruption_errs: dict[int, int] = field(default_factory=dict)
    """By devid, how much the device's count of bad checksums grows."""
    contents: dict[int, bytes] = field(default_factory=dict)
    """By file offset of a block: what memory holds from there on, as far as the request goes, also behind the
    end of the file. What is not in here is not touched."""


def predict(source: Source, request: Request, behaviour: Behaviour, *, nowait: bool = False) -> Prediction:
    """Return what comes of `request`, submitted by thread `request.pid`; `nowait` is RWF_NOWAIT."""
    prediction = Prediction()
    end = request.offset + sum(iov.iov_len for iov in request.iov)
    if request.offset >= source.i_size or end == request.offset:
        return prediction
    if not _may_be_direct(request):
        _read_buffered(source, prediction, request.offset, request.offset, end, nowait=nowait)
    elif nowait and behaviour.nowait_one_page and end - request.offset > BLOCK:
        prediction.result = -errno.EAGAIN
    else:
        _read_direct(source, prediction, request, end, behaviour, nowait=nowait)
    return prediction


def _read_direct(
    source: Source, prediction: Prediction, request: Request, end: int, behaviour: Behaviour, *, nowait: bool
) -> None:
    """Read mapping by mapping, until one needs the page cache: that and what follows is buffered."""
    position, error = request.offset, 0
    while position < end and (behaviour.reads_behind_eof or position < source.i_size):
        item = source.extent_at(position)
        if isinstance(item, int):
            prediction.result = item
            return
        if item is not None and _needs_page_cache(item):
            break
        last = min(end, position + behaviour.read_limit * BLOCK, _end_of(item, position))
        if item is None or _is_hole(item):
            _zero(prediction, position, last)
        elif _read(source, prediction, item, position, last, request.pid, behaviour):
            # One bad block fails all that is direct, and nothing else is tried.
            error = -errno.EIO
        position = last
    done = min(position, source.i_size)
    if error or done == min(end, source.i_size):
        prediction.result = error or done - request.offset
    elif nowait and behaviour.nowait_one_page:
        prediction.result = -errno.EAGAIN
    else:
        _read_buffered(source, prediction, request.offset, done, end, nowait=nowait)


def _may_be_direct(request: Request) -> bool:
    """Return whether all is whole blocks and no two vectors begin at one address (`check_direct_read`)."""
    aligned = request.offset % BLOCK == 0 and all(_aligned(iov) for iov in request.iov)
    return aligned and len({iov.iov_base for iov in request.iov}) == len(request.iov)


def _aligned(iov: IoVec) -> bool:
    return not iov.iov_len or (iov.iov_base | iov.iov_len) % BLOCK == 0


def _needs_page_cache(item: FileExtent) -> bool:
    if item.type is ExtentType.INLINE:
        return True
    return item.type is ExtentType.REG and bool(item.disk_bytenr) and item.compression != Compression.NONE


def _is_hole(item: FileExtent) -> bool:
    return item.type is ExtentType.PREALLOC or not item.disk_bytenr


def _end_of(item: FileExtent | None, position: int) -> int:
    """Return where the mapping ends; where no item is, look again behind the block."""
    return position + BLOCK if item is None else item.end


def _zero(prediction: Prediction, start: int, last: int) -> None:
    _add_part(prediction, Part(start, last, How.HOLE))
    for at in range(start, last, BLOCK):
        prediction.contents[at] = bytes(BLOCK)


def _add_part(prediction: Prediction, part: Part) -> None:
    parts = prediction.parts
    if parts and (parts[-1].how, parts[-1].end) == (part.how, part.start):
        part = Part(parts.pop().start, part.end, part.how)
    parts.append(part)


def _read(
    source: Source,
    prediction: Prediction,
    item: FileExtent,
    start: int,
    last: int,
    tid: int,
    behaviour: Behaviour,
) -> bool:
    """Read a part of one mapping; return whether a block of it failed."""
    _add_part(prediction, Part(start, last, How.DIRECT))
    logical = item.disk_bytenr + item.offset + start - item.file_offset
    prediction.bios += _cut(source, logical, last - start, tid)
    failed = False
    for at in range(start, last, BLOCK):
        block = read_block(source, logical + at - start, tid, behaviour)
        prediction.retried += block.retried
        prediction.repaired += block.repaired
        _count(source, prediction, logical + at - start, block.bad_mirrors)
        if block.data is None:
            failed = True
        else:
            prediction.contents[at] = block.data
    return failed


def _cut(source: Source, logical: int, length: int, tid: int) -> Iterator[BioRange]:
    """Yield the bios of a mapping: of striped profiles they end with the stripe."""
    end = logical + length
    while logical < end:
        chunk = source.chunk_at(logical)
        stop = min(end, _end_of_stripe(chunk, logical))
        yield BioRange(*place(chunk, first_mirror(source, chunk, logical, tid), logical), stop - logical)
        logical = stop


def _end_of_stripe(chunk: Chunk, logical: int) -> int:
    if not chunk.type & _STRIPED:
        return chunk.start + chunk.length
    return logical + chunk.stripe_len - (logical - chunk.start) % chunk.stripe_len


def _count(source: Source, prediction: Prediction, logical: int, bad_mirrors: list[int]) -> None:
    """Count bad checksums; what cannot be read has no checksum."""
    chunk = source.chunk_at(logical)
    for mirror in bad_mirrors:
        devid, physical = place(chunk, mirror, logical)
        device = source.devices.get(devid)
        if device is not None and device.read(physical, BLOCK) is not None:
            prediction.corruption_errs[devid] = prediction.corruption_errs.get(devid, 0) + 1


def _read_buffered(
    source: Source, prediction: Prediction, offset: int, position: int, end: int, *, nowait: bool
) -> None:
    """Read from `position` on through the page cache; `offset` is where the request began."""
    if nowait:
        prediction.result = position - offset or -errno.EAGAIN
        return
    end = min(end, source.i_size)
    _add_part(prediction, Part(position, end, How.BUFFERED))
    extent: Extent | None = None
    while position < end:
        extent = extent if extent and position < extent.end else buffered(source, position)
        data = _of_block(extent, position)
        if isinstance(data, int):
            prediction.result = position - offset or data
            return
        last = min(end, position - position % BLOCK + BLOCK)
        prediction.contents[position] = data[: last - position]
        position = last
    prediction.result = end - offset


def _of_block(extent: Extent, position: int) -> bytes | int:
    """Return what is in memory from `position` to the end of its block, or -errno."""
    if isinstance(extent.data, int):
        return extent.data
    at = position - extent.start
    return extent.data[at : at + BLOCK - at % BLOCK] or -errno.EIO
