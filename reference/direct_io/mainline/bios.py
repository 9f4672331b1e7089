# SPDX-License-Identifier: GPL-2.0-or-later
"""How a bio of logical addresses becomes bios of devices (`btrfs_submit_chunk`, fs/btrfs/bio.c)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.file import Volume
from reference.ondisk import BlockGroupFlag, Chunk
from reference.readahead.source import Stripe

__all__ = ["Bio", "BioKind", "Submitted", "btrfs_submit_bbio", "cut"]

_STRIPED = BlockGroupFlag.RAID0 | BlockGroupFlag.RAID10 | BlockGroupFlag.RAID56_MASK
"""BTRFS_BLOCK_GROUP_STRIPE_MASK."""
_BY_TASK = BlockGroupFlag.RAID1_MASK | BlockGroupFlag.RAID10
"""Profiles of which the reader's number chooses the copy."""


class BioKind(IntEnum):
    """What a bio is for; the kernel's flags tell them apart."""

    DIRECT = 0
    """REQ_SYNC."""
    BUFFERED = 1
    """REQ_RAHEAD."""
    UNFLAGGED = 2
    """Neither: of compressed extents, and of pages that are read one by one."""
    REPAIR = 3
    """Of one block, by a worker when a bio has ended: reads of other copies, and writes over bad ones."""


class Bio(NamedTuple):
    """A read of a device, or a write if it repairs. Bytes."""

    kind: BioKind
    devid: int
    physical: int
    length: int


class Submitted(NamedTuple):
    """A bio, and which addresses of the file system it reads."""

    bio: Bio
    logical: int
    mirror_num: int
    """Which copy, from 1."""
    whole: int
    """Which bio it was cut off; parts of one have the same number."""
    sent: bool = True
    """Whether a device gets it; if that is missing, it fails at once."""


def btrfs_submit_bbio(
    kind: BioKind, logical: int, length: int, whole: int, volume: Volume, tid: int, behaviour: Behaviour
) -> Iterator[Submitted]:
    """Yield the parts of bio number `whole`, as thread `tid` submits them."""
    for chunk, start, part in cut(logical, length, volume, behaviour):
        stripes = volume.copies(start)
        copy = _choose(chunk, stripes, volume, tid)
        stripe = stripes[copy]
        bio = Bio(kind, stripe.devid, stripe.physical, part)
        yield Submitted(bio, start, copy + 1, whole, stripe.devid in volume.present)


def cut(logical: int, length: int, volume: Volume, behaviour: Behaviour) -> Iterator[tuple[Chunk, int, int]]:
    """Yield the pieces that are each in one piece on a device: chunk, logical address, length."""
    end = logical + length
    while logical < end:
        chunk = volume.chunks.lookup(logical)
        if chunk is None:
            raise KeyError(logical)
        part = min(end - logical, _map_length(chunk, logical, behaviour))
        yield chunk, logical, part
        logical += part


def _map_length(chunk: Chunk, logical: int, behaviour: Behaviour) -> int:
    """Return how much of the chunk is in one piece (`btrfs_max_io_len`)."""
    left = chunk.end - logical
    if chunk.profile & _STRIPED or (chunk.profile and behaviour.mirrored_cut):
        return min(left, chunk.stripe_len - (logical - chunk.start) % chunk.stripe_len)
    return left


def _choose(chunk: Chunk, stripes: Sequence[Stripe], volume: Volume, tid: int) -> int:
    """Return which copy is read (`find_live_mirror`, policy pid)."""
    preferred = tid % len(stripes) if chunk.profile & _BY_TASK else 0
    live = (n for n in (preferred, *range(len(stripes))) if stripes[n].devid in volume.present)
    return next(live, preferred)
