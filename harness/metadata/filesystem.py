# SPDX-License-Identifier: GPL-2.0-or-later
"""The metadata of a btrfs that nobody writes to, read from its devices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from harness.metadata.copies import Copies
from harness.metadata.devices import Devices
from harness.metadata.errors import MetadataError
from harness.metadata.trees import items_of_type
from reference.ondisk import (
    BlockError,
    BlockRules,
    Chunk,
    ChunkMap,
    DevItem,
    FormatError,
    Item,
    KeyType,
    RootItem,
    TreeId,
    check_block,
    items,
    sys_chunk_array,
)
from reference.readahead.source import BlockGroup, Mapping, Node, Root

__all__ = ["FileSystem"]


class FileSystem:
    """A file system's trees and its chunk map (`reference.readahead.Source`); a context that closes it.

    >>> with FileSystem([Path("device-0.img")]) as filesystem:  # doctest: +SKIP
    ...     root = filesystem.root(TreeId.EXTENT)
    ...     filesystem.node(root.bytenr).level
    2
    """

    def __init__(self, paths: Iterable[Path], *, degraded: bool = False, direct: bool = False) -> None:
        """Open the devices at `paths`, in any order, and read the chunk tree, as a mount does.

        With `degraded`, devices may be missing, or have missed the last transactions; `direct` reads go past
        the page cache. MetadataError says in one line what is wrong.
        """
        self.devices = Devices(paths, direct=direct)
        self.superblock = self.devices.superblock
        self.nodesize = self.superblock.nodesize
        """Size of a block of a tree, bytes."""
        self.chunks = ChunkMap()
        self.rules = BlockRules(
            self.nodesize,
            self.superblock.sectorsize,
            self.superblock.csum_type,
            self.superblock.metadata_uuid,
        )
        self.copies = Copies(self.chunks, self.devices, self.nodesize)
        self.known: dict[int, DevItem] = {}
        """All devices of the file system, given or not, by devid."""
        try:
            self._read_chunks()
            self._check_devices(degraded)
        except FormatError as error:
            self.close()
            raise MetadataError(f"{self._name}: {error}") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the devices."""
        self.devices.close()

    @property
    def missing(self) -> set[int]:
        """Devids of the file system's devices that are not given."""
        return self.known.keys() - self.devices.images.keys()

    def node(self, bytenr: int) -> Node:
        """Return the block at `bytenr`, from the first copy that can be believed (`Source`).

        KeyError if no chunk has it; MetadataError if no copy can be believed.
        """
        return check_block(self.block(bytenr), bytenr, self.rules)

    def block(self, bytenr: int) -> bytes:
        """Return the bytes of the block at `bytenr`, from the first copy that can be believed.

        KeyError if no chunk has it; MetadataError if no copy can be believed.
        """
        first: BlockError | None = None
        for mirror_num in self.copies.mirrors(bytenr):
            try:
                block = self.copies.read(bytenr, mirror_num)
                check_block(block, bytenr, self.rules)
            except BlockError as error:
                first = first or error
            else:
                return block
        if first is None:
            raise KeyError(bytenr)
        raise MetadataError(f"{self._name}: {first}, and no other copy is good")

    def map_block(self, logical: int) -> Mapping | None:
        """Return where the copies of what is at `logical` are (`Source`)."""
        return self.chunks.map_block(logical)

    def lookup_block_group(self, logical: int) -> BlockGroup | None:
        """Return the block group with `logical` (`Source`)."""
        return self.chunks.lookup_block_group(logical)

    def root(self, tree: int) -> Root:
        """Return the root of a tree, by its id; MetadataError if there is no such tree."""
        superblock = self.superblock
        if tree == TreeId.ROOT:
            return Root(superblock.root, superblock.generation)
        if tree == TreeId.CHUNK:
            return Root(superblock.chunk_root, superblock.chunk_root_generation)
        item = self.roots().get(tree)
        if item is None:
            raise MetadataError(f"{self._name}: there is no tree {tree}")
        return Root(item.bytenr, item.generation)

    def roots(self) -> dict[int, RootItem]:
        """Return what the root tree says of the trees' roots, by the trees' ids."""
        found = items_of_type(self, self.root(TreeId.ROOT), KeyType.ROOT_ITEM)
        return {item.key.objectid: RootItem.from_bytes(item.data) for item in found}

    def leaf_items(self, bytenr: int) -> Iterator[Item]:
        """Yield the items of the leaf at `bytenr`, by key; errors as `block`."""
        return items(self.block(bytenr))

    @property
    def _name(self) -> str:
        return ", ".join(str(image.path) for image in self.devices.images.values())

    def _read_chunks(self) -> None:
        """First those that the superblock has, then with them the chunk tree (`btrfs_read_chunk_tree`)."""
        for chunk in sys_chunk_array(self.superblock.sys_chunks):
            self._add_chunk(chunk)
        root = self.root(TreeId.CHUNK)
        for item in list(items_of_type(self, root, KeyType.DEV_ITEM, KeyType.CHUNK_ITEM)):
            if item.key.type == KeyType.DEV_ITEM:
                device = DevItem.from_bytes(item.data)
                self.known[device.devid] = device
            else:
                self._add_chunk(Chunk.from_bytes(item.key.offset, item.data))

    def _add_chunk(self, chunk: Chunk) -> None:
        chunk.check(self.superblock.sectorsize)
        self.chunks.add(chunk)

    def _check_devices(self, degraded: bool) -> None:
        newest = self.superblock.generation
        for devid, image in self.devices.images.items():
            if devid not in self.known:
                raise MetadataError(f"{image.path}: is device {devid}, which the file system has no more")
            if image.superblock.generation != newest and not degraded:
                raise MetadataError(
                    f"{image.path}: is of transaction {image.superblock.generation}, others are of {newest}: "
                    "leave it out, or allow degraded reading"
                )
        if self.missing and not degraded:
            raise MetadataError(
                f"{self._name}: of {len(self.known)} devices, {_text(self.missing)} missing: "
                "give them too, or allow degraded reading"
            )


def _text(devids: set[int]) -> str:
    return f"{', '.join(map(str, sorted(devids)))} {'is' if len(devids) == 1 else 'are'}"
