# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the copies of a logical address are, for reads (fs/btrfs/volumes.c of 5.10).

Of each profile, with stripes of 64 KiB numbered from the chunk's start (n) and the chunk's stripes from 0:

| profile | stripe n is on | in its row |
|---|---|---|
| single, DUP, RAID1, RAID1C3, RAID1C4 | each of the chunk's stripes | n |
| RAID0, of s stripes | n mod s | n div s |
| RAID10, of s stripes | 2 (n mod s/2) and the one after it | n div s/2 |
| RAID5 and 6, of d data stripes and p parities | (n mod d + row) mod (d + p) | n div d |
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from reference.ondisk.chunk import Chunk
from reference.ondisk.constants import BlockGroupFlag
from reference.ondisk.errors import FormatError
from reference.readahead.source import BlockGroup, Mapping, Stripe

__all__ = ["ChunkMap", "Row"]


class Row(NamedTuple):
    """What belongs together in a chunk of RAID5 or 6: data stripes in order, then P, then Q."""

    stripes: tuple[Stripe, ...]
    """Each at the byte that corresponds to the logical address that was asked for."""
    wanted: int
    """Which of `stripes` has that address."""


class ChunkMap:
    """All chunks of a file system (`fs_info->mapping_tree`)."""

    def __init__(self, chunks: Iterable[Chunk] = ()) -> None:
        self._chunks: list[Chunk] = []
        self._starts: list[int] = []
        for chunk in chunks:
            self.add(chunk)

    @property
    def chunks(self) -> list[Chunk]:
        """All of them, by address."""
        return list(self._chunks)

    def add(self, chunk: Chunk) -> None:
        """Add a chunk; one that begins in another is left out, as `read_one_chunk` does.

        FormatError if it ends in another.
        """
        if self.lookup(chunk.start) is not None:
            return
        place = bisect_right(self._starts, chunk.start)
        if place < len(self._starts) and self._starts[place] < chunk.end:
            raise FormatError(f"chunks {chunk.start} and {self._starts[place]} overlap")
        self._chunks.insert(place, chunk)
        self._starts.insert(place, chunk.start)

    def lookup(self, logical: int) -> Chunk | None:
        """Return the chunk with `logical`, or None (`btrfs_get_chunk_map`)."""
        place = bisect_right(self._starts, logical) - 1
        return self._chunks[place] if place >= 0 and logical < self._chunks[place].end else None

    def lookup_block_group(self, logical: int) -> BlockGroup | None:
        """Return the block group with `logical`, or None: there is one for each chunk."""
        chunk = self.lookup(logical)
        return None if chunk is None else BlockGroup(chunk.start, chunk.length)

    def map_block(self, logical: int) -> Mapping | None:
        """Return all copies to read from (`btrfs_map_block`, BTRFS_MAP_GET_READ_MIRRORS), or None."""
        chunk = self.lookup(logical)
        if chunk is None:
            return None
        offset = logical - chunk.start
        stripe_nr, stripe_offset = divmod(offset, chunk.stripe_len)
        first, row, copies = _place(chunk, stripe_nr)
        length = chunk.length - offset
        if chunk.profile:
            length = min(length, chunk.stripe_len - stripe_offset)
        inside = row * chunk.stripe_len + stripe_offset
        stripes = chunk.stripes[first : first + copies]
        return Mapping([Stripe(s.devid, s.offset + inside) for s in stripes], length)

    def row(self, logical: int) -> Row:
        """Return what a block of RAID5 or 6 is rebuilt from (`__btrfs_map_block` with `need_raid_map`).

        KeyError if no such chunk has `logical`.
        """
        chunk = self.lookup(logical)
        if chunk is None or not chunk.parities:
            raise KeyError(logical)
        stripe_nr, stripe_offset = divmod(logical - chunk.start, chunk.stripe_len)
        row, wanted = divmod(stripe_nr, chunk.data_stripes)
        inside = row * chunk.stripe_len + stripe_offset
        total = len(chunk.stripes)
        turned = (chunk.stripes[(n + row) % total] for n in range(total))
        return Row(tuple(Stripe(s.devid, s.offset + inside) for s in turned), wanted)


def _place(chunk: Chunk, stripe_nr: int) -> tuple[int, int, int]:
    """Return which of the chunk's stripes comes first, the row in it, and how many copies there are."""
    total = len(chunk.stripes)
    match chunk.profile:
        case BlockGroupFlag.RAID0:
            row, column = divmod(stripe_nr, total)
            return column, row, 1
        case BlockGroupFlag.RAID10:
            row, column = divmod(stripe_nr, total // chunk.sub_stripes)
            return column * chunk.sub_stripes, row, chunk.sub_stripes
        case BlockGroupFlag.RAID5 | BlockGroupFlag.RAID6:
            row, column = divmod(stripe_nr, chunk.data_stripes)
            return (column + row) % total, row, 1
        case _:
            return 0, stripe_nr, chunk.copies
