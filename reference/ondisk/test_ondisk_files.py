# SPDX-License-Identifier: GPL-2.0-or-later
"""Items of files, byte by byte."""

from __future__ import annotations

import struct

import pytest

from reference.direct_io.source import Compression, ExtentType
from reference.ondisk import FormatError
from reference.ondisk.file_items import InodeItem, file_extent


def inode(size: int, flags: int) -> bytes:
    return struct.pack("<5Q4I3Q", 7, 7, size, size, 0, 1, 0, 0, 0o100644, 0, flags, 0).ljust(160, b"\0")


def extent(kind: int, compression: int = 0) -> bytes:
    return struct.pack("<QQBBHB", 7, 8192, compression, 0, 0, kind)


def test_an_inode_has_its_size_and_whether_it_has_checksums() -> None:
    assert InodeItem.from_bytes(inode(12345, 0)) == (12345, False)
    assert InodeItem.from_bytes(inode(1, 1 | 2)) == (1, True)


def test_a_regular_extent_has_its_place_and_an_inline_one_its_data() -> None:
    found = file_extent(4096, extent(1, 3) + struct.pack("<4Q", 1 << 20, 4096, 512, 7680))
    assert (found.type, found.compression, found.ram_bytes) == (ExtentType.REG, Compression.ZSTD, 8192)
    assert (found.disk_bytenr, found.disk_num_bytes, found.offset, found.num_bytes) == (
        1 << 20,
        4096,
        512,
        7680,
    )
    assert found.end == 4096 + 7680
    assert file_extent(0, extent(0) + b"abc").inline_data == b"abc"


@pytest.mark.parametrize(
    "data", [b"", extent(1), extent(1) + bytes(31), extent(9) + bytes(32), extent(1, 9) + bytes(32)]
)
def test_what_is_no_extent_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        file_extent(0, data)


def test_what_is_no_inode_is_refused() -> None:
    with pytest.raises(FormatError, match="too short"):
        InodeItem.from_bytes(inode(1, 0)[:71])
