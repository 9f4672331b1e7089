# SPDX-License-Identifier: GPL-2.0-or-later
"""What the page cache has of a file that was not in memory: for the parts that are not read directly."""

from __future__ import annotations

import errno
import zlib
from typing import NamedTuple

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.repair import BLOCK, read_block
from reference.direct_io.source import Compression, ExtentType, FileExtent, Source

__all__ = ["Extent", "buffered"]


class Extent(NamedTuple):
    """A part of the file in memory."""

    start: int
    end: int
    data: bytes | int
    """Whole blocks, up to the first that cannot be had; -errno if that is the first."""


def buffered(source: Source, position: int) -> Extent:
    """Return what there is of the extent at `position`; of a plain one, of that block."""
    block = position - position % BLOCK
    item = source.extent_at(position)
    if isinstance(item, int):
        return Extent(block, block + BLOCK, item)
    if item is None or item.type is ExtentType.PREALLOC:
        return Extent(block, block + BLOCK, bytes(BLOCK))
    if item.type is ExtentType.INLINE:
        return _inline(item)
    if not item.disk_bytenr:
        return Extent(block, block + BLOCK, bytes(BLOCK))
    if item.compression is not Compression.NONE:
        return _compressed(source, item)
    data = read_block(source, item.disk_bytenr + item.offset + block - item.file_offset, 0, _ANY).data
    return Extent(block, block + BLOCK, -errno.EIO if data is None else data)


_ANY = Behaviour()
"""Which good copy it is makes no difference here."""


def _inline(item: FileExtent) -> Extent:
    data: bytes | None = item.inline_data
    if item.compression is not Compression.NONE:
        data = _inflated(item, item.inline_data)
    end = item.file_offset - (-item.ram_bytes // BLOCK) * BLOCK
    return Extent(item.file_offset, end, -errno.EIO if data is None else data.ljust(BLOCK, b"\0"))


def _compressed(source: Source, item: FileExtent) -> Extent:
    """All blocks must be good; what the stream does not have is zeroes (`zlib_decompress_bio`)."""
    blocks = []
    for at in range(0, item.disk_num_bytes, BLOCK):
        data = read_block(source, item.disk_bytenr + at, 0, _ANY).data
        if data is None:
            return Extent(item.file_offset, item.end, -errno.EIO)
        blocks.append(data)
    plain = _inflated(item, b"".join(blocks))
    if plain is None:
        return Extent(item.file_offset, item.end, -errno.EIO)
    plain = plain.ljust(item.ram_bytes, b"\0")
    return Extent(item.file_offset, item.end, plain[item.offset : item.offset + item.num_bytes])


def _inflated(item: FileExtent, data: bytes) -> bytes | None:
    if item.compression is not Compression.ZLIB:
        raise ValueError(f"extents compressed by {item.compression.name} are not read here")
    try:
        return zlib.decompressobj().decompress(data)
    except zlib.error:
        return None
