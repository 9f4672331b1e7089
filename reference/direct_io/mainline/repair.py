# SPDX-License-Identifier: GPL-2.0-or-later
"""Which copy of a block is read, which next if it is bad, and which are written anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mapping import btrfs_map_num_copies, btrfs_map_to_stripe
from reference.direct_io.source import Source
from reference.ondisk import BlockGroupFlag, Chunk

__all__ = ["BLOCK", "BioRange", "BlockRead", "first_mirror", "next_mirror", "place", "read_block"]

BLOCK = 4096
"""`fs_info->sectorsize`."""


class BioRange(NamedTuple):
    """A part of a device."""

    devid: int
    physical: int
    length: int


@dataclass
class BlockRead:
    """What came of reading a block, from the first bio on."""

    data: bytes | None = None
    """None if no copy is good."""
    retried: list[BioRange] = field(default_factory=list)
    """Reads of the block alone, in order."""
    repaired: list[BioRange] = field(default_factory=list)
    """Writes of good data over bad copies."""
    bad_mirrors: list[int] = field(default_factory=list)
    """Copies found bad, in the order in which they were."""


def first_mirror(source: Source, chunk: Chunk, logical: int, tid: int) -> int:
    """Return which copy thread `tid` reads first (`find_live_mirror`, fs/btrfs/volumes.c)."""
    index = btrfs_map_to_stripe(chunk, 0, logical, BLOCK, source.devices, tid).stripe_index
    if chunk.type & BlockGroupFlag.RAID10:
        return index % chunk.sub_stripes + 1
    return 1 if chunk.type & BlockGroupFlag.RAID0 else index + 1


def place(chunk: Chunk, mirror: int, logical: int) -> tuple[int, int]:
    """Return devid and address of a copy."""
    info = btrfs_map_to_stripe(chunk, mirror, logical, BLOCK, (), 0)
    stripe = chunk.stripes[info.stripe_index]
    return stripe.devid, stripe.offset + info.phys_offset


def read_block(source: Source, logical: int, tid: int, behaviour: Behaviour) -> BlockRead:
    """Read a block; if the copy is bad, try others and repair what was bad."""
    chunk = source.chunk_at(logical)
    copies = btrfs_map_num_copies(chunk)
    mirror = first_mirror(source, chunk, logical, tid)
    read = BlockRead()
    read.data = _good(source, chunk, mirror, logical)
    first, tried = mirror, 0
    while read.data is None:
        read.bad_mirrors.append(mirror)
        following = next_mirror(behaviour, mirror, tried, first, copies)
        if following is None:
            return read
        mirror = tried = following
        read.retried += _sent(source, chunk, mirror, logical)
        read.data = _good(source, chunk, mirror, logical)
    bad = read.bad_mirrors if behaviour.repairs_all else read.bad_mirrors[-1:]
    read.repaired = [sent for number in reversed(bad) for sent in _sent(source, chunk, number, logical)]
    return read


def _sent(source: Source, chunk: Chunk, mirror: int, logical: int) -> list[BioRange]:
    """Return the bio for a copy of a block; none goes to a missing device."""
    devid, physical = place(chunk, mirror, logical)
    return [BioRange(devid, physical, BLOCK)] if devid in source.devices else []


def next_mirror(behaviour: Behaviour, failed: int, tried: int, first: int, copies: int) -> int | None:
    """Return the copy to try after `failed`; None if there is none.

    In a ring, until it is the first again. Or from 1 up, passing over only the one that has just failed: so
    5.10 may read the first one once more.
    """
    if copies == 1:
        return None
    if behaviour.repairs_in_ring:
        following = failed % copies + 1
        return None if following == first else following
    following = tried + 1
    if following == failed:
        following += 1
    return following if following <= copies else None


def _good(source: Source, chunk: Chunk, mirror: int, logical: int) -> bytes | None:
    """Return a copy if it can be read and has the right checksum, or needs none."""
    devid, physical = place(chunk, mirror, logical)
    device = source.devices.get(devid)
    data = None if device is None else device.read(physical, BLOCK)
    if data is None or source.nodatasum:
        return data
    csum = source.csum_final(source.csum_data(data, 0xFFFFFFFF))
    return data if csum == source.csum_at(logical) else None
