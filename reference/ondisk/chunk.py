# SPDX-License-Identifier: GPL-2.0-or-later
"""Chunks: what part of the logical addresses lies where on which devices."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from reference.ondisk.constants import BTRFS_STRIPE_LEN, BlockGroupFlag, KeyType
from reference.ondisk.errors import FormatError
from reference.readahead.source import Key

__all__ = ["Chunk", "ChunkStripe", "sys_chunk_array"]

# struct btrfs_chunk up to its stripes: length, owner, stripe_len, type, io_align, io_width, sector_size,
# num_stripes, sub_stripes.
_CHUNK = struct.Struct("<QQQQIIIHH")
# struct btrfs_stripe: devid, offset, dev_uuid.
_STRIPE = struct.Struct("<QQ16s")
# struct btrfs_disk_key.
_KEY = struct.Struct("<QBQ")

_COPIES = {
    BlockGroupFlag.RAID1: 2,
    BlockGroupFlag.RAID1C3: 3,
    BlockGroupFlag.RAID1C4: 4,
    BlockGroupFlag.DUP: 2,
    BlockGroupFlag.RAID10: 2,
}
_PARITIES = {BlockGroupFlag.RAID5: 1, BlockGroupFlag.RAID6: 2}
_EXACTLY = {
    BlockGroupFlag(0): 1,
    BlockGroupFlag.DUP: 2,
    BlockGroupFlag.RAID1: 2,
    BlockGroupFlag.RAID1C3: 3,
    BlockGroupFlag.RAID1C4: 4,
}
"""How many stripes chunks of these profiles have."""


@dataclass(frozen=True, slots=True)
class ChunkStripe:
    """A chunk's part on a device (`struct btrfs_stripe`)."""

    devid: int
    offset: int
    """Where it begins on the device, bytes."""
    dev_uuid: bytes = bytes(16)


@dataclass(frozen=True, slots=True)
class Chunk:
    """`struct btrfs_chunk`, with the logical address that its key says."""

    start: int
    """First logical address, bytes."""
    length: int
    """Bytes, logical."""
    type: BlockGroupFlag
    stripes: tuple[ChunkStripe, ...]
    sub_stripes: int = 1
    """RAID10: how many stripes in a row are copies of each other."""
    stripe_len: int = BTRFS_STRIPE_LEN

    @property
    def end(self) -> int:
        """First logical address behind it."""
        return self.start + self.length

    @property
    def profile(self) -> BlockGroupFlag:
        """Its bit of the profile mask; 0 for single."""
        return self.type & BlockGroupFlag.PROFILE_MASK

    @property
    def copies(self) -> int:
        """How many whole copies there are of each byte (`btrfs_raid_array`, ncopies)."""
        return _COPIES.get(self.profile, 1)

    @property
    def parities(self) -> int:
        """How many stripes of each row are parity (`nr_parity_stripes`)."""
        return _PARITIES.get(self.profile, 0)

    @property
    def data_stripes(self) -> int:
        """How many stripes of each row hold data, RAID5 and 6 (`nr_data_stripes`)."""
        return len(self.stripes) - self.parities

    @property
    def mirrors(self) -> int:
        """How many ways there are to read a byte, rebuilding from parity among them (`btrfs_num_copies`)."""
        return {1: 2, 2: len(self.stripes)}.get(self.parities, self.copies)

    @classmethod
    def from_bytes(cls, start: int, data: bytes | memoryview) -> Chunk:
        """Take a chunk item apart; FormatError if it is too short."""
        if len(data) < _CHUNK.size:
            raise FormatError(f"chunk {start}: {len(data)} bytes are too few")
        length, _, stripe_len, flags, _, _, _, count, sub_stripes = _CHUNK.unpack_from(data)
        if len(data) < _CHUNK.size + count * _STRIPE.size:
            raise FormatError(f"chunk {start}: {len(data)} bytes are too few for {count} stripes")
        stripes = tuple(
            ChunkStripe(*_STRIPE.unpack_from(data, _CHUNK.size + n * _STRIPE.size)) for n in range(count)
        )
        return cls(start, length, BlockGroupFlag(flags), stripes, sub_stripes, stripe_len)

    def check(self, sectorsize: int) -> None:
        """Raise FormatError where the kernel would not mount (`btrfs_check_chunk_valid`)."""
        if problem := self._problem(sectorsize):
            raise FormatError(f"chunk {self.start}: {problem}")

    def _problem(self, sectorsize: int) -> str | None:
        unknown = int(self.type) & ~int(BlockGroupFlag.TYPE_MASK | BlockGroupFlag.PROFILE_MASK)
        stripes, profile = len(self.stripes), self.profile
        fewest = max(self.copies, self.parities + 1)
        raid10 = profile == BlockGroupFlag.RAID10
        wrong = {
            "its start is not on a sector": self.start % sectorsize,
            f"its length, {self.length}, is not of whole sectors": not self.length
            or self.length % sectorsize,
            "it ends behind the last address": self.end >= 1 << 64,
            f"its stripes are of {self.stripe_len} bytes": self.stripe_len != BTRFS_STRIPE_LEN,
            f"its type has bits that are not known, {unknown:#x}": unknown,
            f"it has several profiles, {int(profile):#x}": profile & (profile - 1),
            "its type says neither data nor metadata": not self.type & BlockGroupFlag.TYPE_MASK,
            f"its profile is not for {stripes} stripes": stripes < fewest
            or stripes != _EXACTLY.get(profile, stripes)
            or (raid10 and stripes % 2),
            f"{self.sub_stripes} copies are not RAID10": raid10 and self.sub_stripes != 2,
        }
        return next((text for text, is_so in wrong.items() if is_so), None)


def sys_chunk_array(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a superblock's array (`btrfs_read_sys_array`); FormatError if it is broken."""
    place = 0
    while place < len(data):
        if place + _KEY.size > len(data):
            raise FormatError("the superblock's chunks end inside a key")
        key = Key(*_KEY.unpack_from(data, place))
        if key.type != KeyType.CHUNK_ITEM:
            raise FormatError(f"the superblock's chunks have a key of type {key.type}")
        place += _KEY.size
        chunk = Chunk.from_bytes(key.offset, data[place:])
        yield chunk
        place += _CHUNK.size + len(chunk.stripes) * _STRIPE.size
