# SPDX-License-Identifier: GPL-2.0-or-later
"""What the copies of a block hold, and what a compressed extent has in it."""

from __future__ import annotations

import zlib

from reference.direct_io.naive_map import copies
from reference.direct_io.source import FileExtent
from reference.direct_io.synthetic import BLOCK, SyntheticFile

__all__ = ["UNCERTAIN", "Contents", "inflated", "plain_block", "stored"]

Contents = dict[int, list[bytes]]

UNCERTAIN: list[bytes] = []
"""Compressed data that have no checksums and differ between copies."""


def plain_block(file: SyntheticFile, logical: int) -> list[bytes]:
    """Return what a read of the block may give; nothing if it must fail."""
    readable = []
    for devid, physical in copies(file.chunk_at(logical), logical):
        disk = file.devices.get(devid)
        data = disk.read(physical, BLOCK) if disk else None
        if data is not None and data not in readable:
            readable.append(data)
    if file.nodatasum:
        return readable
    return [data for data in readable if file.csum_of(data) == file.csum_at(logical)]


def stored(file: SyntheticFile, item: FileExtent) -> list[bytes] | None:
    """Return the blocks of an extent; None if one cannot be read, UNCERTAIN if it depends on the copy."""
    blocks = []
    for logical in range(item.disk_bytenr, item.disk_bytenr + item.disk_num_bytes, BLOCK):
        found = plain_block(file, logical)
        if not found:
            return None
        if len(found) > 1:
            blocks.append(b"")
        blocks.append(found[0])
    return UNCERTAIN if b"" in blocks else blocks


def inflated(blocks: list[bytes], start: int, length: int) -> bytes | None:
    """Return a part of what is compressed in `blocks`, None if the stream does not have all of it."""
    stream, data = zlib.decompressobj(), b""
    try:
        for block in blocks:
            data += stream.decompress(block)
            if len(data) >= start + length or stream.eof:
                break
    except zlib.error:
        return None
    part = data[start : start + length]
    return part if len(part) == length else None
