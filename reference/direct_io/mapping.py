# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a byte of a chunk is on devices, as Linux 2.6.33 says (`__btrfs_map_block`, fs/btrfs/volumes.c).

The patch calls functions of its third part, of which nothing is kept: `btrfs_map_to_stripe` and others. Their
names and arguments say that they are 2.6.33's mapping, taken apart; so that is what stands here.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from reference.ondisk import BlockGroupFlag, Chunk

__all__ = ["StripeInfo", "btrfs_map_num_copies", "btrfs_map_to_stripe"]

MIRRORED = BlockGroupFlag.RAID1 | BlockGroupFlag.RAID1C3 | BlockGroupFlag.RAID1C4
_CUT = MIRRORED | BlockGroupFlag.RAID0 | BlockGroupFlag.RAID10 | BlockGroupFlag.DUP
"""Where a read ends with its stripe, even if the next is on the same device."""


class StripeInfo(NamedTuple):
    """`struct btrfs_stripe_info`."""

    stripe_index: int
    phys_offset: int
    """From the beginning of the stripe on its device."""
    length: int
    """How much of what was asked for is there in one piece."""


def btrfs_map_num_copies(chunk: Chunk) -> int:
    """Return how many copies there are of each byte (`btrfs_num_copies`)."""
    if chunk.type & (MIRRORED | BlockGroupFlag.DUP):
        return len(chunk.stripes)
    return chunk.sub_stripes if chunk.type & BlockGroupFlag.RAID10 else 1


def btrfs_map_to_stripe(
    chunk: Chunk, mirror: int, start: int, length: int, present: Container[int], pid: int
) -> StripeInfo:
    """Return where copy `mirror` of `start` is; 0 is the copy that `pid` reads first.

    `present` are the devids of the devices that are not missing.

    >>> from reference.ondisk import ChunkStripe
    >>> raid0 = Chunk(1 << 20, 1 << 20, BlockGroupFlag.RAID0, (ChunkStripe(1, 0), ChunkStripe(2, 0)))
    >>> btrfs_map_to_stripe(raid0, 0, (1 << 20) + 0x1f000, 0x4000, {1, 2}, 0)
    StripeInfo(stripe_index=1, phys_offset=61440, length=4096)
    """
    offset = start - chunk.start
    stripe_nr, stripe_offset = divmod(offset, chunk.stripe_len)
    left = chunk.length - offset
    if chunk.type & _CUT:
        left = min(left, chunk.stripe_len - stripe_offset)
    index = 0
    if chunk.type & MIRRORED:
        index = mirror - 1 if mirror else _find_live_mirror(chunk, 0, len(chunk.stripes), pid, present)
    elif chunk.type & BlockGroupFlag.DUP:
        index = mirror - 1 if mirror else 0
    elif chunk.type & BlockGroupFlag.RAID10:
        stripe_nr, column = divmod(stripe_nr, len(chunk.stripes) // chunk.sub_stripes)
        first = column * chunk.sub_stripes
        index = (
            first + mirror - 1 if mirror else _find_live_mirror(chunk, first, chunk.sub_stripes, pid, present)
        )
    else:
        stripe_nr, index = divmod(stripe_nr, len(chunk.stripes))
    return StripeInfo(index, stripe_nr * chunk.stripe_len + stripe_offset, min(length, left))


def _find_live_mirror(chunk: Chunk, first: int, num: int, pid: int, present: Container[int]) -> int:
    """Return the stripe that `pid` is for, or the first whose device is there (`find_live_mirror`)."""
    optimal = first + pid % num
    live = (i for i in (optimal, *range(first, first + num)) if chunk.stripes[i].devid in present)
    return next(live, optimal)
