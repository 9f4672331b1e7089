# SPDX-License-Identifier: GPL-2.0-or-later
"""Where all copies of a byte are, written down from the definition of each profile and nothing else."""

from __future__ import annotations

from reference.direct_io.source import SINGLE
from reference.ondisk import BlockGroupFlag, Chunk

__all__ = ["copies", "row_end"]


def copies(chunk: Chunk, logical: int) -> list[tuple[int, int]]:
    """Return devid and physical address of each copy, in the order of mirror numbers."""
    offset = logical - chunk.start
    if chunk.type in (SINGLE, BlockGroupFlag.DUP) or _is_mirror(chunk):
        return [(stripe.devid, stripe.offset + offset) for stripe in chunk.stripes]
    width = 2 if chunk.type is BlockGroupFlag.RAID10 else 1
    columns = len(chunk.stripes) // width
    unit, within = offset // chunk.stripe_len, offset % chunk.stripe_len
    row, column = unit // columns, unit % columns
    below = row * chunk.stripe_len + within
    return [(s.devid, s.offset + below) for s in chunk.stripes[column * width : (column + 1) * width]]


def row_end(chunk: Chunk, logical: int) -> int:
    """Return the logical address at which a read that begins at `logical` has to be cut."""
    if chunk.type is SINGLE:
        return chunk.start + chunk.length
    units = (logical - chunk.start) // chunk.stripe_len + 1
    return chunk.start + units * chunk.stripe_len


def _is_mirror(chunk: Chunk) -> bool:
    return chunk.type in (BlockGroupFlag.RAID1, BlockGroupFlag.RAID1C3, BlockGroupFlag.RAID1C4)
