# SPDX-License-Identifier: GPL-2.0-or-later
"""Data of an unmounted file system made bad in ways that no other copy helps against.

What is changed are the checksum tree, whose leaves get the right checksums again, and compressed data with
theirs. So the trees are what the kernel takes for good.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from harness.metadata import FileSystem, tree_blocks
from reference.direct_io.source import FileExtent
from reference.ondisk import KeyType, TreeId
from reference.ondisk.block import items
from reference.ondisk.csum import BTRFS_CSUM_SIZE

__all__ = ["break_streams", "spoil_sums"]

BLOCK = 4096
NO_STREAM = b"\xff" * BLOCK
"""What no stream begins with: the head of a zlib stream, an lzo segment, a zstd frame is another."""


def spoil_sums(filesystem: FileSystem, blocks: Iterable[int]) -> None:
    """Have the checksum tree say something else of blocks of data, by logical address."""
    _change_sums(filesystem, dict.fromkeys(blocks))


def break_streams(filesystem: FileSystem, extents: Iterable[FileExtent]) -> None:
    """Have compressed extents begin as no stream does, in all copies; their checksums are right."""
    chosen = [extent.disk_bytenr for extent in extents]
    for logical in chosen:
        _write_copies(filesystem, logical, NO_STREAM)
    sum_ = filesystem.rules.csum_type.digest(NO_STREAM)
    _change_sums(filesystem, dict.fromkeys(chosen, sum_))


def _change_sums(filesystem: FileSystem, sums: Mapping[int, bytes | None]) -> None:
    """Put checksums of blocks into the tree; for None, one that is wrong. KeyError if a block has none."""
    left = dict(sums)
    for node in tree_blocks(filesystem, filesystem.root(TreeId.CSUM)):
        if node.level:
            continue
        leaf = bytearray(filesystem.copies.read(node.bytenr, 1))
        if _change_leaf(filesystem, leaf, left):
            digest = filesystem.rules.csum_type.digest(bytes(leaf[BTRFS_CSUM_SIZE:]))
            leaf[: len(digest)] = digest
            _write_copies(filesystem, node.bytenr, bytes(leaf))
    if left:
        raise KeyError(f"the checksum tree has nothing of block {min(left)}")


def _change_leaf(filesystem: FileSystem, leaf: bytearray, left: dict[int, bytes | None]) -> bool:
    """Change what the leaf has of blocks that are `left`, and take them out; return whether it had any."""
    size, before = filesystem.rules.csum_type.size, len(left)
    for key, data in items(memoryview(leaf)):
        if key.type != KeyType.EXTENT_CSUM:
            continue
        end = key.offset + len(data) // size * BLOCK
        for logical in [one for one in left if key.offset <= one < end]:
            place = (logical - key.offset) // BLOCK * size
            digest = left.pop(logical) or bytes(byte ^ 0xFF for byte in data[place : place + size])
            data[place : place + size] = digest
    return len(left) < before


def _write_copies(filesystem: FileSystem, logical: int, data: bytes) -> None:
    """Write what lies within a stripe to all of its copies; not for parity, which stays as it is."""
    mapping = filesystem.map_block(logical)
    assert mapping is not None
    assert mapping.length >= len(data)
    for stripe in mapping.stripes:
        with filesystem.devices.images[stripe.devid].path.open("r+b") as device:
            device.seek(stripe.physical)
            device.write(data)
            device.flush()
            os.fsync(device.fileno())
