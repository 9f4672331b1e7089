# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens when bios end that have met bad blocks (`btrfs_check_read_bio`, fs/btrfs/bio.c)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.bios import Bio, BioKind, Submitted
from reference.direct_io.mainline.file import BLOCK, BadBlock, Contents, File, Volume
from reference.direct_io.mainline.repair import next_mirror
from reference.readahead.source import Stripe

__all__ = ["BioEnds", "Completion", "Piece", "error_may_be_lost"]


class Piece(NamedTuple):
    """A stretch of a bio that has ended."""

    logical: int
    length: int
    copy: Stripe | None
    """Where its data come from; None if no copy is good."""


@dataclass
class Completion:
    """What was done about bad copies."""

    reads: list[Bio] = field(default_factory=list)
    """Of other copies."""
    writes: list[Bio] = field(default_factory=list)
    """Of good data over bad copies."""
    corruption_errs: Counter[int] = field(default_factory=Counter)
    """By devid, how many bad checksums were met."""
    failed: set[int] = field(default_factory=set)
    """Which of the bios, by number, have a block none of whose copies is good."""
    lost: set[int] = field(default_factory=set)
    """Those blocks, by logical address. Memory has zeros in their place (`btrfs_data_csum_ok`)."""
    repaired: set[Stripe] = field(default_factory=set)
    """Corrupt blocks that are good again."""


def error_may_be_lost(submitted: Sequence[Submitted], failed: Set[int]) -> bool:
    """Whether no error may come of bios that failed, depending on the order in which they end.

    A part that was cut off hands its error to the whole, but what the whole comes to is only taken from there
    if the part that ends last has succeeded (`btrfs_bio_end_io` of 6.18). The whole itself is the last part.
    """
    last = {one.whole: number for number, one in enumerate(submitted)}
    return not failed & set(last.values())


class BioEnds:
    """Ends the bios of one read, one after the other."""

    def __init__(self, file: File, volume: Volume, contents: Contents, behaviour: Behaviour) -> None:
        self.done = Completion()
        self._checked = not file.nodatasum
        self._volume = volume
        self._contents = contents
        self._behaviour = behaviour

    def btrfs_check_read_bio(self, one: Submitted, number: int) -> list[Piece]:
        """End bio `number`; return where its data come from, in order."""
        _, devid, physical, length = one.bio
        bad = self._bad_blocks(Stripe(devid, physical), one.logical, length)
        if not bad:
            return [Piece(one.logical, length, Stripe(devid, physical))]
        pieces = []
        for inside in range(0, length, BLOCK):
            copy: Stripe | None = Stripe(devid, physical + inside)
            if inside in bad:
                copy = self._repair_one_sector(one, inside, bad[inside])
            if copy is None:
                self.done.failed.add(number)
            pieces.append(Piece(one.logical + inside, BLOCK, copy))
        return pieces

    def _bad_blocks(self, place: Stripe, logical: int, length: int) -> dict[int, BadBlock]:
        """Return which blocks of what was read are bad, by their offset in it.

        If a bio fails, all of its blocks count as not read.
        """
        every = range(0, length, BLOCK)
        if place.devid not in self._volume.present:
            return dict.fromkeys(every, BadBlock.UNREADABLE)
        found = self._contents.bad_blocks(*place, logical, length)
        if BadBlock.UNREADABLE in found.values():
            return dict.fromkeys(every, BadBlock.UNREADABLE)
        if not self._checked:
            return {}
        repaired = self.done.repaired
        return {
            inside: bad
            for inside, bad in found.items()
            if place._replace(physical=place.physical + inside) not in repaired
        }

    def _repair_one_sector(self, one: Submitted, inside: int, first: BadBlock) -> Stripe | None:
        """Look for a good copy of a block, and write it over bad ones; return it."""
        logical = one.logical + inside
        mapping = self._volume.chunks.map_block(logical)
        assert mapping is not None
        copies = mapping.stripes
        bad: dict[Stripe, BadBlock] = {}
        mirror, tried, state = one.mirror_num, 0, first
        while True:
            self._note(bad, copies[mirror - 1], state)
            following = next_mirror(self._behaviour, mirror, tried, one.mirror_num, len(copies))
            if following is None:
                self.done.lost.add(logical)
                return None
            mirror = tried = following
            self._send(self.done.reads, copies[mirror - 1])
            found = self._bad_blocks(copies[mirror - 1], logical, BLOCK)
            if not found:
                break
            state = found[0]
        written = list(bad) if self._behaviour.repairs_all else list(bad)[-1:]
        for place in reversed(written):
            self._send(self.done.writes, place)
        self.done.repaired.update(place for place in written if bad[place] is BadBlock.CORRUPT)
        return copies[mirror - 1]

    def _note(self, bad: dict[Stripe, BadBlock], place: Stripe, state: BadBlock) -> None:
        """Count a bad checksum; what cannot be read has none."""
        bad.pop(place, None)
        bad[place] = state
        self.done.corruption_errs[place.devid] += state is BadBlock.CORRUPT

    def _send(self, bios: list[Bio], place: Stripe) -> None:
        """Send a bio for a block; none goes to a missing device."""
        if place.devid in self._volume.present:
            bios.append(Bio(BioKind.REPAIR, *place, BLOCK))
