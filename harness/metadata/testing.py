# SPDX-License-Identifier: GPL-2.0-or-later
"""Small file systems, written byte by byte, for tests: right ones, and ones that are wrong in one place."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reference.ondisk import (
    BTRFS_SUPER_INFO_OFFSET,
    BlockGroupFlag,
    Chunk,
    ChunkMap,
    ChunkStripe,
    CsumType,
    KeyType,
    TreeId,
)
from reference.ondisk.constants import BTRFS_MAGIC, BTRFS_STRIPE_LEN
from reference.ondisk.raid56 import parity
from reference.readahead.source import Key, Root, Stripe

__all__ = ["GENERATION", "SINGLE", "ImageBuilder", "sealed"]

GENERATION = 7
"""The transaction that wrote everything."""
SINGLE = BlockGroupFlag(0)
_SECTOR = 4096
_FSID = bytes(range(16))


@dataclass
class ImageBuilder:
    """A file system with a chunk tree, a root tree, and an extent tree of leaves below one node."""

    profile: BlockGroupFlag = SINGLE
    devices: int = 1
    nodesize: int = 4096
    csum: CsumType = CsumType.CRC32
    leaves: int = 3
    fsid: bytes = _FSID
    rows: int = 4
    """Rows of 64 KiB that the chunk has on each device."""
    contents: dict[int, bytearray] = field(default_factory=dict)
    """What is on the devices, by devid."""
    blocks: dict[int, bytes] = field(default_factory=dict)
    """What was put where, by logical address."""

    def __post_init__(self) -> None:
        size = BTRFS_STRIPE_LEN * (2 + self.rows)
        self.contents = {devid: bytearray(size) for devid in range(1, self.devices + 1)}
        self.chunk = self._chunk()
        self.chunks = ChunkMap([self.chunk])
        self._behind = self.chunk.start
        self.chunk_root = self._write_chunk_tree()
        self.extent_root = self._write_extent_tree()
        self.root = self._write_root_tree()
        for devid in self.contents:
            self.write_superblock(devid)

    def save(self, folder: Path) -> list[Path]:
        """Write the devices into `folder` and return their paths, in order of devids."""
        paths = []
        for devid, data in self.contents.items():
            paths.append(folder / f"device-{devid}.img")
            paths[-1].write_bytes(data)
        return paths

    def block(
        self,
        bytenr: int,
        level: int,
        entries: Sequence[bytes],
        data: bytes = b"",
        generation: int = GENERATION,
    ) -> bytes:
        """Return a block with its header and checksum; `data` is that of items, last one first."""
        header = struct.pack(
            "<32x16sQQ16sQQIB", self.fsid, bytenr, 1, bytes(16), generation, 2, len(entries), level
        )
        body = b"".join(entries)
        gap = bytes(self.nodesize - len(header) - len(body) - len(data))
        return sealed(header + body + gap + data, self.csum)

    def node(self, bytenr: int, level: int, children: Sequence[tuple[Key, int, int]]) -> bytes:
        """Return a node with `children`: key, address, generation."""
        return self.block(bytenr, level, [struct.pack("<QBQQQ", *key, *rest) for key, *rest in children])

    def leaf(self, bytenr: int, items: Sequence[tuple[Key, bytes]], generation: int = GENERATION) -> bytes:
        """Return a leaf with `items`."""
        end = self.nodesize - 101
        entries = []
        for key, data in items:
            end -= len(data)
            entries.append(struct.pack("<QBQII", *key, end, len(data)))
        return self.block(bytenr, 0, entries, b"".join(data for _, data in reversed(items)), generation)

    def put(self, bytenr: int, block: bytes) -> None:
        """Write a block to all its copies, and what is parity of it."""
        self.blocks[bytenr] = block
        place = 0
        while place < len(block):
            mapping = self.chunks.map_block(bytenr + place)
            assert mapping is not None
            part = block[place : place + mapping.length]
            for stripe in mapping.stripes:
                self._store(stripe, part)
            if self.chunk.parities:
                self._store_parity(bytenr + place, len(part))
            place += len(part)

    def damage(self, bytenr: int, mirror_num: int, data: bytes, at: int = 200) -> None:
        """Overwrite a part of one copy of a block, from byte `at` of the block on."""
        mapping = self.chunks.map_block(bytenr + at)
        assert mapping is not None
        self._store(mapping.stripes[mirror_num - 1], data)

    def write_superblock(self, devid: int, generation: int = GENERATION, **changes: int) -> None:
        """Write the superblock of a device; `changes` are to its numbers."""
        total = len(self.contents[devid])
        uuid, first_items = bytes(16), _chunk_key(self.chunk) + _chunk_item(self.chunk)
        device = struct.pack(
            "<QQQIIIQQQIBB16s16s",
            devid,
            total,
            0,
            _SECTOR,
            _SECTOR,
            _SECTOR,
            0,
            0,
            0,
            0,
            0,
            0,
            uuid,
            self.fsid,
        )
        numbers = {
            "magic": BTRFS_MAGIC,
            "bytenr": BTRFS_SUPER_INFO_OFFSET,
            "nodesize": self.nodesize,
            "csum_type": self.csum,
            "array_size": len(first_items),
            **changes,
        }
        head = struct.pack(
            "<32x16s12Q5I4QH3B",
            *(self.fsid, numbers["bytenr"], 1, numbers["magic"], generation, self.root, self.chunk_root),
            *(0, 0, total, 6 * self.nodesize, 6, self.devices),
            *(_SECTOR, numbers["nodesize"], numbers["nodesize"], _SECTOR, numbers["array_size"]),
            *(GENERATION, 0, 0, 0, numbers["csum_type"], 0, 0, 0),
        )
        superblock = (head + device + b"small".ljust(256, b"\0")).ljust(811, b"\0") + first_items
        place = BTRFS_SUPER_INFO_OFFSET
        self.contents[devid][place : place + 4096] = sealed(superblock.ljust(4096, b"\0"), self.csum)

    def extent_tree(self) -> Root:
        """Return the root of the extent tree."""
        return Root(self.extent_root, GENERATION)

    def next_place(self) -> int:
        """Return the address of a block that is free."""
        place = self._behind
        self._behind += self.nodesize
        return place

    def _chunk(self) -> Chunk:
        stripes = 2 if self.profile == BlockGroupFlag.DUP else self.devices
        size = BTRFS_STRIPE_LEN * self.rows
        flags = self.profile | BlockGroupFlag.SYSTEM
        places = [ChunkStripe(n % self.devices + 1, 2 * BTRFS_STRIPE_LEN) for n in range(stripes)]
        if self.profile == BlockGroupFlag.DUP:
            size //= 2
            places[1] = ChunkStripe(1, places[0].offset + size)
        sub_stripes = 2 if self.profile == BlockGroupFlag.RAID10 else 1
        chunk = Chunk(1 << 20, size, flags, tuple(places), sub_stripes)
        striped = {BlockGroupFlag.RAID0: stripes, BlockGroupFlag.RAID10: stripes // 2}
        width = chunk.data_stripes if chunk.parities else striped.get(self.profile, 1)
        return Chunk(chunk.start, size * width, flags, chunk.stripes, sub_stripes)

    def _write_chunk_tree(self) -> int:
        place = self.next_place()
        devices = [
            (
                Key(1, KeyType.DEV_ITEM, devid),
                struct.pack(
                    *("<QQQIIIQQQIBB16s16s", devid, len(data), 0, _SECTOR, _SECTOR, _SECTOR),
                    *(0, 0, 0, 0, 0, 0, bytes(16), self.fsid),
                ),
            )
            for devid, data in self.contents.items()
        ]
        chunk = (Key(256, KeyType.CHUNK_ITEM, self.chunk.start), _chunk_item(self.chunk))
        self.put(place, self.leaf(place, [*devices, chunk]))
        return place

    def _write_extent_tree(self) -> int:
        """Leaves lie in every other row, so that they are on different devices."""
        children = []
        for number in range(self.leaves):
            place = self.next_place()
            self._behind += BTRFS_STRIPE_LEN if self._behind + 2 * BTRFS_STRIPE_LEN < self.chunk.end else 0
            key = Key(number << 20, KeyType.EXTENT_ITEM, 4096)
            self.put(place, self.leaf(place, [(key, bytes(24))]))
            children.append((key, place, GENERATION))
        root = self.next_place()
        self.put(root, self.node(root, 1, children))
        return root

    def _write_root_tree(self) -> int:
        place = self.next_place()
        item = bytearray(239)
        struct.pack_into("<7Q", item, 160, GENERATION, 0, self.extent_root, 0, 0, 0, 0)
        item[238] = 1
        self.put(place, self.leaf(place, [(Key(TreeId.EXTENT, KeyType.ROOT_ITEM, 0), bytes(item))]))
        return place

    def _store(self, stripe: Stripe, data: bytes) -> None:
        self.contents[stripe.devid][stripe.physical : stripe.physical + len(data)] = data

    def _store_parity(self, logical: int, length: int) -> None:
        row = self.chunks.row(logical).stripes
        data = [
            bytes(self.contents[stripe.devid][stripe.physical : stripe.physical + length])
            for stripe in row[: self.chunk.data_stripes]
        ]
        parities = parity(data, self.chunk.parities)
        for stripe, part in zip(row[self.chunk.data_stripes :], parities, strict=True):
            self._store(stripe, part)


def sealed(block: bytes, csum: CsumType) -> bytes:
    """Return `block`, a header or superblock and all behind it, with its checksum."""
    return csum.digest(block[32:]).ljust(32, b"\0") + block[32:]


def _chunk_key(chunk: Chunk) -> bytes:
    return struct.pack("<QBQ", 256, KeyType.CHUNK_ITEM, chunk.start)


def _chunk_item(chunk: Chunk) -> bytes:
    head = struct.pack(
        "<QQQQIIIHH",
        *(chunk.length, 2, chunk.stripe_len, chunk.type, _SECTOR, _SECTOR, _SECTOR),
        *(len(chunk.stripes), chunk.sub_stripes),
    )
    stripes = (struct.pack("<QQ16s", s.devid, s.offset, s.dev_uuid) for s in chunk.stripes)
    return head + b"".join(stripes)
