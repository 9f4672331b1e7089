# SPDX-License-Identifier: GPL-2.0-or-later
"""What a direct read works on: a file's extents, checksums, chunks and devices, and where the bytes go.

All offsets, addresses and lengths are in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

from reference.ondisk import BlockGroupFlag, Chunk

__all__ = [
    "SINGLE",
    "Compression",
    "Device",
    "ExtentType",
    "FileExtent",
    "IoVec",
    "Request",
    "Source",
]


class ExtentType(IntEnum):
    """`btrfs_file_extent_item.type` (fs/btrfs/ctree.h)."""

    INLINE = 0
    REG = 1
    PREALLOC = 2


class Compression(IntEnum):
    """`btrfs_file_extent_item.compression` (fs/btrfs/ctree.h)."""

    NONE = 0
    ZLIB = 1
    LZO = 2
    ZSTD = 3


SINGLE = BlockGroupFlag(0)
"""One copy, one stripe."""


@dataclass(frozen=True, slots=True)
class FileExtent:
    """`struct btrfs_file_extent_item` with the file offset of its key."""

    file_offset: int
    type: ExtentType = ExtentType.REG
    compression: Compression = Compression.NONE
    ram_bytes: int = 0
    """Length of the whole extent, uncompressed."""
    disk_bytenr: int = 0
    """Logical address; 0 is a hole. Nothing for INLINE, like the three that follow."""
    disk_num_bytes: int = 0
    """Length on disk."""
    offset: int = 0
    """Where in the uncompressed extent the file's bytes begin."""
    num_bytes: int = 0
    """How many bytes of the file it covers."""
    inline_data: bytes = b""
    """What an INLINE item has behind its header, compressed or not."""

    @property
    def end(self) -> int:
        """File offset behind the last byte; for INLINE behind what it has."""
        length = self.ram_bytes if self.type is ExtentType.INLINE else self.num_bytes
        return self.file_offset + length


class Device(Protocol):
    """A device as the block layer has it."""

    @property
    def logical_block_size(self) -> int:
        """`bdev_logical_block_size()`."""

    @property
    def nr_vecs(self) -> int:
        """`bio_get_nr_vecs()`."""

    @property
    def max_bytes(self) -> int:
        """What one bio may have (`queue_max_sectors`)."""

    def read(self, physical: int, length: int) -> bytes | None:
        """Return what is there, or None for an I/O error."""


class Source(Protocol):
    """A file, and of its file system what the file's reads need."""

    @property
    def i_size(self) -> int:
        """Length of the file."""

    @property
    def nodatasum(self) -> bool:
        """Whether the inode has BTRFS_INODE_NODATASUM."""

    @property
    def devices(self) -> Mapping[int, Device]:
        """By devid; a missing device is not in it."""

    def extent_at(self, offset: int) -> FileExtent | int | None:
        """Return the item that covers `offset`, None if none does, -errno if the tree cannot be read."""

    def chunk_at(self, logical: int) -> Chunk:
        """Return the chunk with `logical`; KeyError if there is none."""

    def csum_at(self, logical: int) -> int | None:
        """Return the checksum of the block at `logical`, None if the tree has none."""

    def csum_data(self, data: bytes | bytearray | memoryview, csum: int) -> int:
        """Go on with a checksum that begins with 2^32 - 1 (`btrfs_csum_data`)."""

    def csum_final(self, csum: int) -> int:
        """Return what is stored for a block (`btrfs_csum_final`)."""


class IoVec(NamedTuple):
    """`struct iovec`."""

    iov_base: int
    iov_len: int


class Request(NamedTuple):
    """A read as it comes to `->direct_IO`."""

    offset: int
    iov: Sequence[IoVec]
    ki_left: int
    """Bytes that are left of the request (`kiocb.ki_left`)."""
    is_sync: bool = True
    """Whether the caller waits (`is_sync_kiocb`)."""
    pid: int = 0
    """Of who submits: it chooses the copy that is read first."""
