# SPDX-License-Identifier: GPL-2.0-or-later
"""The superblock: what a file system consists of, and where its first trees are."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from reference.ondisk.constants import (
    BTRFS_MAGIC,
    BTRFS_MAX_LEVEL,
    BTRFS_MAX_METADATA_BLOCKSIZE,
    BTRFS_SUPER_INFO_OFFSET,
    BTRFS_SUPER_INFO_SIZE,
    IncompatFlag,
)
from reference.ondisk.csum import CsumType
from reference.ondisk.errors import FormatError

__all__ = ["DevItem", "Superblock"]

# struct btrfs_super_block from fsid up to dev_item: fsid, bytenr, flags, magic, generation, root, chunk_root,
# log_root, log_root_transid, total_bytes, bytes_used, root_dir_objectid, num_devices, sectorsize, nodesize,
# __unused_leafsize, stripesize, sys_chunk_array_size, chunk_root_generation, compat_flags, compat_ro_flags,
# incompat_flags, csum_type, root_level, chunk_root_level, log_root_level.
_SUPER = struct.Struct("<32x16s12Q5I4QH3B")
_LABEL = struct.Struct("<299x256s")
_METADATA_UUID = struct.Struct("<571x16s")
_ARRAY_OFFSET = 811
_ARRAY_SIZE = 2048
"""BTRFS_SYSTEM_CHUNK_ARRAY_SIZE."""

# struct btrfs_dev_item: devid, total_bytes, bytes_used, io_align, io_width, sector_size, type, generation,
# start_offset, dev_group, seek_speed, bandwidth, uuid, fsid.
_DEV_ITEM = struct.Struct("<QQQIIIQQQIBB16s16s")


@dataclass(frozen=True, slots=True)
class DevItem:
    """A device of the file system (`struct btrfs_dev_item`)."""

    devid: int
    total_bytes: int
    """Size of the device, as far as the file system uses it."""
    bytes_used: int
    """Bytes of it that are in chunks."""
    uuid: bytes
    fsid: bytes

    @classmethod
    def from_bytes(cls, data: bytes | memoryview, offset: int = 0) -> DevItem:
        """Take a device item apart; FormatError if it is too short."""
        if len(data) - offset < _DEV_ITEM.size:
            raise FormatError(f"{len(data) - offset} bytes are too few for a device item")
        devid, total, used, *_, uuid, fsid = _DEV_ITEM.unpack_from(data, offset)
        return cls(devid, total, used, uuid, fsid)


@dataclass(frozen=True, slots=True)
class Superblock:
    """`struct btrfs_super_block`, what reading metadata needs of it. Addresses and sizes in bytes."""

    fsid: bytes
    bytenr: int
    """Where on the device it is."""
    magic: int
    generation: int
    """The last transaction."""
    root: int
    """Logical address of the root tree's root."""
    chunk_root: int
    """Logical address of the chunk tree's root."""
    log_root: int
    total_bytes: int
    bytes_used: int
    num_devices: int
    sectorsize: int
    nodesize: int
    leafsize: int
    chunk_root_generation: int
    incompat_flags: IncompatFlag
    csum_type: CsumType
    root_level: int
    chunk_root_level: int
    log_root_level: int
    dev_item: DevItem
    """The device that this superblock was read from."""
    label: str
    metadata_uuid: bytes
    """What blocks of trees bear: `fsid`, unless it was changed later (METADATA_UUID)."""
    sys_chunks: bytes
    """`sys_chunk_array`, as far as it is used: the chunks that the chunk tree is in."""

    @classmethod
    def from_bytes(cls, data: bytes) -> Superblock:
        """Take a superblock apart; FormatError if there is none, or its checksum is wrong."""
        if len(data) < BTRFS_SUPER_INFO_SIZE:
            raise FormatError("it is too short to have a superblock")
        fields = _SUPER.unpack_from(data)
        fsid, bytenr, _, magic, generation, root, chunk_root, log_root, _, total, used, _, devices = fields[
            :13
        ]
        sectorsize, nodesize, leafsize, _, array_size, chunk_generation, _, _, incompat = fields[13:22]
        csum_type, root_level, chunk_level, log_level = fields[22:]
        if magic != BTRFS_MAGIC:
            raise FormatError("no btrfs is on it (the magic number is missing)")
        csum = CsumType.of(csum_type)
        if not csum.holds(data[:BTRFS_SUPER_INFO_SIZE]):
            raise FormatError("the superblock's checksum is wrong")
        if not 0 < array_size <= _ARRAY_SIZE:
            raise FormatError(f"the superblock's chunks take {array_size} bytes")
        flags = IncompatFlag(incompat)
        changed = IncompatFlag.METADATA_UUID in flags
        return cls(
            fsid,
            bytenr,
            magic,
            generation,
            root,
            chunk_root,
            log_root,
            total,
            used,
            devices,
            sectorsize,
            nodesize,
            leafsize,
            chunk_generation,
            flags,
            csum,
            root_level,
            chunk_level,
            log_level,
            DevItem.from_bytes(data, _SUPER.size),
            _LABEL.unpack_from(data)[0].partition(b"\0")[0].decode(errors="replace"),
            _METADATA_UUID.unpack_from(data)[0] if changed else fsid,
            data[_ARRAY_OFFSET : _ARRAY_OFFSET + array_size],
        )

    @property
    def fsid_text(self) -> str:
        """The fsid as tools write it."""
        digits = self.fsid.hex()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def check(self) -> None:
        """Raise FormatError where a mount would refuse it (`validate_super`), or trees are other ones."""
        if problem := self._problem():
            raise FormatError(f"the superblock is damaged: {problem}")
        for flag in (IncompatFlag.EXTENT_TREE_V2, IncompatFlag.RAID_STRIPE_TREE, IncompatFlag.REMAP_TREE):
            if flag in self.incompat_flags:
                raise FormatError(f"the file system has the feature {flag.name}, which is not supported")

    def _problem(self) -> str | None:
        size, sector = self.nodesize, self.sectorsize
        levels = (self.root_level, self.chunk_root_level, self.log_root_level)
        wrong = {
            f"sectorsize {sector}": not _power_of_2(sector, 4096, BTRFS_MAX_METADATA_BLOCKSIZE),
            f"nodesize {size}": not _power_of_2(size, sector, BTRFS_MAX_METADATA_BLOCKSIZE),
            f"leafsize {self.leafsize} with nodesize {size}": self.leafsize != size,
            f"levels {levels}": max(levels) >= BTRFS_MAX_LEVEL,
            f"it says to be at {self.bytenr}": self.bytenr != BTRFS_SUPER_INFO_OFFSET,
            f"{self.bytes_used} bytes used": self.bytes_used < 6 * size,
            "no devices": not self.num_devices,
            "its device is of another file system": self.dev_item.fsid != self.metadata_uuid,
        }
        roots = {"root": self.root, "chunk root": self.chunk_root, "log root": self.log_root}
        wrong |= {f"{name} at {place}": bool(place % max(sector, 1)) for name, place in roots.items()}
        return next((text for text, is_so in wrong.items() if is_so), None)


def _power_of_2(number: int, least: int, most: int) -> bool:
    return least <= number <= most and number & (number - 1) == 0
