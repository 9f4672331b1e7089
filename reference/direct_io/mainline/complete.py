# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens when bios end that have met damaged blocks (`btrfs_check_read_bio`, fs/btrfs/bio.c)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.bios import Bio, BioKind, Submitted
from reference.direct_io.mainline.file import BLOCK, Volume
from reference.direct_io.mainline.repair import next_mirror
from reference.readahead.source import Stripe

__all__ = ["Completion", "complete", "error_may_be_lost"]


@dataclass
class Completion:
    """What was done about damaged blocks."""

    reads: list[Bio] = field(default_factory=list)
    """Of other copies."""
    writes: list[Bio] = field(default_factory=list)
    """Of good data over bad copies."""
    corruption_errs: Counter[int] = field(default_factory=Counter)
    """By devid, how many bad checksums were met."""
    failed: set[int] = field(default_factory=set)
    """Which of the bios have a block none of whose copies is good."""
    lost: set[int] = field(default_factory=set)
    """Those blocks, by logical address. Memory has zeros in their place (`btrfs_data_csum_ok`)."""
    repaired: set[Stripe] = field(default_factory=set)
    """Blocks that are good again."""


def complete(
    submitted: Sequence[Submitted], volume: Volume, damaged: Set[Stripe], behaviour: Behaviour
) -> Completion:
    """End the bios of a file with checksums, one after the other; `damaged` are blocks of devices."""
    done = Completion()
    for number, one in enumerate(submitted):
        _, devid, physical, length = one.bio
        for inside in range(0, length, BLOCK):
            bad = Stripe(devid, physical + inside)
            if bad in damaged and bad not in done.repaired:
                _repair(one, inside, number, done, volume, damaged, behaviour)
    return done


def error_may_be_lost(submitted: Sequence[Submitted], failed: Set[int]) -> bool:
    """Whether no error may come of bios that failed, depending on the order in which they end.

    A part that was cut off hands its error to the whole, but what the whole comes to is only taken from there
    if the part that ends last has succeeded (`btrfs_bio_end_io` of 6.18). The whole itself is the last part.
    """
    last = {one.whole: number for number, one in enumerate(submitted)}
    return not failed & set(last.values())


def _repair(
    one: Submitted,
    inside: int,
    number: int,
    done: Completion,
    volume: Volume,
    damaged: Set[Stripe],
    behaviour: Behaviour,
) -> None:
    """Look for a good copy of one block, and write it over bad ones (`repair_one_sector`)."""
    mapping = volume.chunks.map_block(one.logical + inside)
    assert mapping is not None
    copies = mapping.stripes
    bad: list[Stripe] = []
    mirror, tried = one.mirror_num, 0
    while copies[mirror - 1] in damaged - done.repaired:
        bad.append(copies[mirror - 1])
        done.corruption_errs[copies[mirror - 1].devid] += 1
        following = next_mirror(behaviour, mirror, tried, one.mirror_num, len(copies))
        if following is None:
            done.failed.add(number)
            done.lost.add(one.logical + inside)
            return
        mirror = tried = following
        done.reads.append(Bio(BioKind.REPAIR, *copies[mirror - 1], BLOCK))
    written = bad if behaviour.repairs_all else bad[-1:]
    done.writes += [Bio(BioKind.REPAIR, *stripe, BLOCK) for stripe in reversed(written)]
    done.repaired.update(written)
