# SPDX-License-Identifier: GPL-2.0-or-later
"""The extent items of an open file, by the tree search ioctl: FIEMAP joins those that touch."""

from __future__ import annotations

import fcntl
import os
import struct

from reference.direct_io.source import FileExtent
from reference.ondisk.file_items import file_extent

__all__ = ["extents"]

_TREE_SEARCH = 0xD0009411
_ARGS_BYTES = 4096
# linux/btrfs.h: struct btrfs_ioctl_search_key, without what is unused at its end.
_KEY = struct.Struct("<QQQQQQQIII")  # tree, objectid, offset and transid from and to, type from and to, items
_KEY_BYTES = 104
_COUNT = struct.Struct("<I")
_COUNT_OFFSET = 64
# struct btrfs_ioctl_search_header
_HEADER = struct.Struct("<QQQII")  # transid, objectid, offset, type, length
_EXTENT_DATA = 108
_MOST = (1 << 64) - 1
_ITEMS = 32
"""So many are asked for at a time; of extents that are not inline all have room."""


def extents(fd: int, end: int) -> list[FileExtent]:
    """Return the items that begin before `end`, bytes, by offset; OSError if the kernel refuses."""
    found: list[FileExtent] = []
    begin, inode = 0, os.fstat(fd).st_ino
    while begin < end:
        key = _KEY.pack(
            *(0, inode, inode, begin, end - 1, 0, _MOST),
            *(_EXTENT_DATA, _EXTENT_DATA, _ITEMS),
        )
        args = bytearray(key.ljust(_ARGS_BYTES, b"\0"))
        fcntl.ioctl(fd, _TREE_SEARCH, args)
        (count,) = _COUNT.unpack_from(args, _COUNT_OFFSET)
        place = _KEY_BYTES
        for _ in range(count):
            _, _, offset, _, length = _HEADER.unpack_from(args, place)
            place += _HEADER.size
            found.append(file_extent(offset, bytes(args[place : place + length])))
            place += length
        if count < _ITEMS:
            break
        begin = found[-1].file_offset + 1
    return found
