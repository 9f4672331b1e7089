# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the extent items of an open file begin, by the tree search ioctl: FIEMAP joins those that touch."""

from __future__ import annotations

import fcntl
import os
import struct

__all__ = ["extent_starts"]

_TREE_SEARCH = 0xD0009411
_ARGS_BYTES = 4096
# linux/btrfs_tree.h and linux/btrfs.h: struct btrfs_ioctl_search_key, without what is unused at its end.
_KEY = struct.Struct("<QQQQQQQIII")  # tree, objectid, offset and transid from and to, type from and to, items
_KEY_BYTES = 104
_COUNT = struct.Struct("<I")
_COUNT_OFFSET = 64
# struct btrfs_ioctl_search_header
_HEADER = struct.Struct("<QQQII")  # transid, objectid, offset, type, length
_EXTENT_DATA = 108
_MOST = (1 << 64) - 1
_ITEMS = 32
"""So many are asked for at a time, and have room."""


def extent_starts(fd: int, begin: int, end: int) -> list[int]:
    """Return the offsets from `begin` to before `end` at which items begin, bytes; OSError if it cannot."""
    starts: list[int] = []
    inode = os.fstat(fd).st_ino
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
            starts.append(offset)
            place += _HEADER.size + length
        if count < _ITEMS:
            break
        begin = starts[-1] + 1
    return starts
