# SPDX-License-Identifier: GPL-2.0-or-later
"""Items of files: the inode, and its extents."""

from __future__ import annotations

import struct
from typing import NamedTuple

from reference.direct_io.source import Compression, ExtentType, FileExtent
from reference.ondisk.errors import FormatError

__all__ = ["InodeItem", "file_extent"]

# struct btrfs_inode_item: generation, transid, size, nbytes, block_group, nlink, uid, gid, mode, rdev, flags.
_INODE = struct.Struct("<QQQQQIIIIQQ")
# struct btrfs_file_extent_item up to its type: generation, ram_bytes, compression, encryption,
# other_encoding, type; then disk_bytenr, disk_num_bytes, offset, num_bytes, or the data.
_EXTENT = struct.Struct("<QQBBHB")
_PLACE = struct.Struct("<QQQQ")
_NODATASUM = 1


class InodeItem(NamedTuple):
    """`struct btrfs_inode_item`, as far as reads need it."""

    size: int
    """Bytes."""
    nodatasum: bool
    """Whether its data has no checksums."""

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> InodeItem:
        """Take an inode item apart; FormatError if it is too short."""
        if len(data) < _INODE.size:
            raise FormatError(f"an inode item of {len(data)} bytes is too short")
        fields = _INODE.unpack_from(data)
        return cls(fields[2], bool(fields[10] & _NODATASUM))


def file_extent(file_offset: int, data: bytes | memoryview) -> FileExtent:
    """Take a file extent item apart, whose key says `file_offset`; FormatError if it is none."""
    if len(data) < _EXTENT.size:
        raise FormatError(f"an extent item of {len(data)} bytes is too short")
    _, ram_bytes, compression, _, _, kind = _EXTENT.unpack_from(data)
    try:
        type_, compressed = ExtentType(kind), Compression(compression)
    except ValueError as error:
        raise FormatError(f"an extent item at {file_offset}: {error}") from None
    if type_ is ExtentType.INLINE:
        inline = bytes(data[_EXTENT.size :])
        return FileExtent(file_offset, type_, compressed, ram_bytes, inline_data=inline)
    if len(data) < _EXTENT.size + _PLACE.size:
        raise FormatError(f"an extent item of {len(data)} bytes is too short")
    return FileExtent(file_offset, type_, compressed, ram_bytes, *_PLACE.unpack_from(data, _EXTENT.size))
