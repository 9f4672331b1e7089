# SPDX-License-Identifier: GPL-2.0-or-later
"""Files and what they hold, read from the devices of a file system that is not mounted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.direct_io.contents import Compressed, StoredContents
from harness.metadata import FileSystem, MetadataError
from harness.metadata.trees import items_of_type
from reference.direct_io.mainline import File
from reference.direct_io.source import ExtentType, FileExtent
from reference.ondisk import FormatError, KeyType
from reference.ondisk.file_items import InodeItem, file_extent

__all__ = ["FileId", "read_contents", "read_files"]


class FileId(NamedTuple):
    """A file of a file system."""

    tree: int
    """The subvolume's id."""
    inode: int


@dataclass
class _Inode:
    item: InodeItem | None = None
    extents: list[FileExtent] = field(default_factory=list)


def read_files(filesystem: FileSystem, wanted: Iterable[FileId]) -> dict[FileId, File]:
    """Return the files; MetadataError if one is not there."""
    by_tree: defaultdict[int, set[int]] = defaultdict(set)
    for tree, inode in wanted:
        by_tree[tree].add(inode)
    return {
        FileId(tree, number): File(inode.item.size, tuple(inode.extents), inode.item.nodatasum)
        for tree, numbers in by_tree.items()
        for number, inode in _inodes(filesystem, tree, numbers).items()
        if inode.item is not None
    }


def _inodes(filesystem: FileSystem, tree: int, numbers: set[int]) -> dict[int, _Inode]:
    found = {number: _Inode() for number in numbers}
    root = filesystem.root(tree)
    for key, data in items_of_type(filesystem, root, KeyType.INODE_ITEM, KeyType.EXTENT_DATA):
        inode = found.get(key.objectid)
        if inode is None:
            continue
        try:
            if key.type == KeyType.INODE_ITEM:
                inode.item = InodeItem.from_bytes(data)
            else:
                inode.extents.append(file_extent(key.offset, data))
        except FormatError as error:
            raise MetadataError(f"inode {key.objectid} of tree {tree}: {error}") from None
    for number, inode in found.items():
        if inode.item is None:
            raise MetadataError(f"tree {tree} has no inode {number}")
    return found


def read_contents(
    filesystem: FileSystem, files: Iterable[File], compressed: Mapping[Compressed, bytes]
) -> StoredContents:
    """Return what the extents hold on the devices; MetadataError if two copies differ.

    `compressed` has what compressed extents were made of.
    """
    raw: dict[int, int] = {}
    for file in files:
        for item in file.items:
            if item.type is ExtentType.REG and item.disk_bytenr and not item.compression:
                raw[item.disk_bytenr] = item.disk_num_bytes
    stored = StoredContents(compressed)
    for logical, length in sorted(raw.items()):
        stored.add(logical, _read(filesystem, logical, length))
    return stored


def _read(filesystem: FileSystem, logical: int, length: int) -> bytes:
    parts = []
    end = logical + length
    while logical < end:
        mapping = filesystem.map_block(logical)
        if mapping is None:
            raise MetadataError(f"no chunk has address {logical}")
        part = min(mapping.length, end - logical)
        images = filesystem.devices.images
        copies = {images[s.devid].read(s.physical, part) for s in mapping.stripes if s.devid in images}
        if len(copies) != 1:
            raise MetadataError(f"the copies of {part} bytes at {logical} differ")
        parts.append(copies.pop())
        logical += part
    return b"".join(parts)
