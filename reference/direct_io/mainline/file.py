# SPDX-License-Identifier: GPL-2.0-or-later
"""What a read works on: the file's extents, where they lie, and what is there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from reference.direct_io.source import ExtentType, FileExtent
from reference.ondisk import ChunkMap
from reference.readahead.source import Stripe

__all__ = ["BLOCK", "BadBlock", "Contents", "File", "Volume", "block_end", "item_end"]

BLOCK = 4096
"""Size of a sector of the file system and of a page, bytes."""


def block_end(offset: int) -> int:
    """Return the first end of a block at `offset` or behind it."""
    return -(-offset // BLOCK) * BLOCK


class BadBlock(Enum):
    """What is wrong with a copy of a block."""

    CORRUPT = 0
    """It can be read and does not have the right checksum."""
    UNREADABLE = 1
    """The device says it is an error."""


class Contents(Protocol):
    """What extents hold, and what is on devices."""

    def raw(self, logical: int, length: int) -> memoryview:
        """Return what was written to a logical address."""

    def copy(self, devid: int, physical: int, logical: int, length: int) -> memoryview:
        """Return what the copy that is there has of a logical address."""

    def bad_blocks(
        self, devid: int, physical: int, logical: int | None, length: int, /
    ) -> Mapping[int, BadBlock]:
        """Return what is wrong with blocks of the copy that is there, by their offset from `physical`.

        Parity has no logical address: None.
        """

    def inflated(self, extent: FileExtent) -> memoryview | None:
        """Return all of an extent that is compressed or inline, as it was before it was compressed.

        None if it cannot be inflated.
        """


@dataclass(frozen=True)
class File:
    """An inode with its items."""

    i_size: int
    """Length, bytes."""
    items: Sequence[FileExtent]
    """Its extent items, by offset; what none covers is a hole."""
    nodatasum: bool = False
    """Whether its data has no checksums."""
    _starts: list[int] = field(default_factory=list, compare=False)

    def __post_init__(self) -> None:
        self._starts.extend(item.file_offset for item in self.items)

    def item_before(self, offset: int) -> int:
        """Return the number of the last item that begins at `offset` or before; -1 if there is none."""
        return bisect_right(self._starts, offset) - 1


def item_end(item: FileExtent) -> int:
    """Return where an item ends in the file (`btrfs_file_extent_end`)."""
    return block_end(item.end) if item.type is ExtentType.INLINE else item.end


@dataclass(frozen=True)
class Volume:
    """The chunks, and which devices are there."""

    chunks: ChunkMap
    present: frozenset[int]
    """Devids of the devices that are not missing."""
    read_only: bool = False
    """Whether it is mounted so: then nothing is repaired (`btrfs_repair_io_failure`)."""

    def copies(self, logical: int) -> Sequence[Stripe]:
        """Return where the copies of a logical address are, in the order of mirror numbers; KeyError."""
        mapping = self.chunks.map_block(logical)
        if mapping is None:
            raise KeyError(logical)
        return mapping.stripes
