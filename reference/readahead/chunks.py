# SPDX-License-Identifier: GPL-2.0-or-later
"""A synthetic chunk map: where the n-th block of metadata is, logically and on the devices."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from reference.readahead.source import BlockGroup, Mapping, Stripe

__all__ = ["STRIPE_LEN", "ChunkMap", "Profile"]

STRIPE_LEN = 64 << 10
"""BTRFS_STRIPE_LEN, bytes."""


class Profile(Enum):
    """How chunks are spread over devices, as mkfs.btrfs calls it."""

    SINGLE = "single"
    DUP = "dup"
    RAID0 = "raid0"
    RAID1 = "raid1"
    RAID1C3 = "raid1c3"
    RAID10 = "raid10"

    @property
    def copies(self) -> int:
        """Copies of each block."""
        return {Profile.SINGLE: 1, Profile.RAID0: 1, Profile.RAID1C3: 3}.get(self, 2)

    @property
    def striped(self) -> bool:
        """Whether each chunk is on all devices."""
        return self in (Profile.RAID0, Profile.RAID10)


@dataclass(frozen=True)
class ChunkMap:
    """Chunks of metadata, with data before, between and behind them.

    Devices, devids 1 to `devices`, take turns. The blocks of all metadata are numbered from 0, chunk after
    chunk.
    """

    profile: Profile = Profile.SINGLE
    devices: int = 1
    nodesize: int = 16 << 10
    """Bytes; at most a stripe."""
    chunk_bytes: int = 256 << 20
    """Logical size of a chunk; a multiple of a stripe for each device."""
    data_bytes: int = 3 << 30
    """Data between two chunks of metadata, logically and on each device."""

    def __post_init__(self) -> None:
        copies = self.profile.copies
        if self.profile is not Profile.DUP and self.devices < copies:
            raise ValueError(f"{self.profile.value} needs {copies} devices, not {self.devices}")
        if self.profile is Profile.RAID10 and self.devices % 2:
            raise ValueError(f"raid10 needs an even number of devices, not {self.devices}")
        if self.chunk_bytes % (STRIPE_LEN * self.devices) or STRIPE_LEN % self.nodesize:
            raise ValueError(
                "chunk_bytes must be a multiple of 64 KiB for each device, nodesize divide 64 KiB"
            )

    @property
    def blocks_per_chunk(self) -> int:
        """How many blocks a chunk has."""
        return self.chunk_bytes // self.nodesize

    def bytenr(self, block: int) -> int:
        """Return the logical address of block `block` of the metadata."""
        chunk, within = divmod(block, self.blocks_per_chunk)
        return self._start(chunk) + within * self.nodesize

    def block(self, bytenr: int) -> int:
        """Return which block is at `bytenr`; KeyError if none begins there."""
        chunk, within = divmod(bytenr - self.data_bytes, self.chunk_bytes + self.data_bytes)
        if chunk < 0 or within >= self.chunk_bytes or within % self.nodesize:
            raise KeyError(bytenr)
        return chunk * self.blocks_per_chunk + within // self.nodesize

    def lookup_block_group(self, logical: int) -> BlockGroup | None:
        """Return the block group with `logical`, or None."""
        chunk, within = divmod(logical - self.data_bytes, self.chunk_bytes + self.data_bytes)
        return (
            None
            if chunk < 0 or within >= self.chunk_bytes
            else BlockGroup(self._start(chunk), self.chunk_bytes)
        )

    def map_block(self, logical: int) -> Mapping | None:
        """Return all copies of what is at `logical`, or None."""
        chunk, within = divmod(logical - self.data_bytes, self.chunk_bytes + self.data_bytes)
        if chunk < 0 or within >= self.chunk_bytes:
            return None
        if self.profile.striped:
            return Mapping(self._striped(chunk, within), STRIPE_LEN - within % STRIPE_LEN)
        return Mapping(self._whole(chunk, within), self.chunk_bytes - within)

    def _start(self, chunk: int) -> int:
        return self.data_bytes + chunk * (self.chunk_bytes + self.data_bytes)

    def _whole(self, chunk: int, within: int) -> list[Stripe]:
        """Each copy is a whole chunk; the n-th of all copies is on device n modulo their number."""
        copies, devices = self.profile.copies, self.devices
        stripes = []
        for copy in range(chunk * copies, (chunk + 1) * copies):
            if self.profile is Profile.DUP:
                device, turn = chunk % devices, chunk // devices * 2 + copy % 2
            else:
                turn, device = divmod(copy, devices)
            physical = self.data_bytes + turn * (self.chunk_bytes + self.data_bytes) + within
            stripes.append(Stripe(device + 1, physical))
        return stripes

    def _striped(self, chunk: int, within: int) -> list[Stripe]:
        """Each device has a part of every chunk; those of RAID10 form pairs of the same content."""
        copies, width = self.profile.copies, self.devices // self.profile.copies
        row, column = divmod(within // STRIPE_LEN, width)
        part = self.chunk_bytes // width
        physical = self.data_bytes + chunk * (part + self.data_bytes) + row * STRIPE_LEN + within % STRIPE_LEN
        return [Stripe(column * copies + copy + 1, physical) for copy in range(copies)]
