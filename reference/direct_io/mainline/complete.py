# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens when bios end that have met bad blocks (`btrfs_check_read_bio`, fs/btrfs/bio.c)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.bios import Bio, BioKind, Submitted
from reference.direct_io.mainline.file import BLOCK, BadBlock, Contents, File, Volume
from reference.direct_io.mainline.raid56 import raid56_parity_recover
from reference.direct_io.mainline.repair import next_mirror
from reference.ondisk import Chunk
from reference.readahead.source import Stripe

__all__ = ["BioEnds", "Completion", "Piece", "error_may_be_lost"]


REBUILT = Stripe(0, 0)
"""On no device: what was written, rebuilt from parity."""


class Piece(NamedTuple):
    """A stretch of a bio that has ended."""

    logical: int
    length: int
    copy: Stripe | None
    """Where its data come from, `REBUILT` if not from one place; None if no copy is good."""
    zeroed: bool = True
    """If no copy is good, whether there are zeros: where one could be read (`btrfs_data_csum_ok`)."""


@dataclass
class Completion:
    """What was done about bad copies."""

    reads: list[Bio] = field(default_factory=list)
    """Of other copies."""
    writes: list[Bio] = field(default_factory=list)
    """Of good data over bad copies."""
    corruption_errs: Counter[int] = field(default_factory=Counter)
    """By devid, how many bad checksums were met."""
    read_errs: Counter[int] = field(default_factory=Counter)
    """By devid, how many reads failed, but for those that were only ahead (`btrfs_log_dev_io_error`)."""
    failed: set[int] = field(default_factory=set)
    """Which of the bios, by number, have a block none of whose copies is good."""
    lost: set[int] = field(default_factory=set)
    """Those blocks, by logical address. Memory has nothing of them: see `Piece`."""
    repaired: dict[Stripe, Stripe] = field(default_factory=dict)
    """Blocks that were written over, and whence the data were: good ones, if there are checksums."""
    overwritten: dict[Stripe, list[bytes]] = field(default_factory=dict)
    """Blocks that hold one of these now, and should not (`repairs_inflated`)."""


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
        kind, devid, physical, length = one.bio
        bad = self.bad_blocks(Stripe(devid, physical), one.logical, length)
        if not bad:
            return [Piece(one.logical, length, Stripe(devid, physical))]
        if kind is not BioKind.BUFFERED:
            self._count_failure(devid, bad.values())
        pieces = []
        for inside in range(0, length, BLOCK):
            piece = Piece(one.logical + inside, BLOCK, Stripe(devid, physical + inside))
            if inside in bad:
                piece = self._repair_one_sector(one, inside, bad[inside])
            if piece.copy is None:
                self.done.failed.add(number)
            pieces.append(piece)
        return pieces

    def bad_blocks(self, place: Stripe, logical: int, length: int) -> dict[int, BadBlock]:
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

    def _repair_one_sector(self, one: Submitted, inside: int, first: BadBlock) -> Piece:
        """Look for a good copy of a block, and write it over bad ones; return what was found."""
        logical = one.logical + inside
        chunk = self._volume.chunks.lookup(logical)
        assert chunk is not None
        places = self._places(chunk, logical)
        tried: list[Stripe] = []
        mirror, again, zeroed = one.mirror_num, 0, False
        state: BadBlock | None = first
        while state is not None:
            tried.append(places[mirror - 1])
            zeroed |= state is BadBlock.CORRUPT
            # What is rebuilt has no device that it could be counted for.
            rebuilt = bool(chunk.parities and mirror > 1)
            self.done.corruption_errs[places[mirror - 1].devid] += state is BadBlock.CORRUPT and not rebuilt
            following = next_mirror(self._behaviour, mirror, again, one.mirror_num, len(places))
            if following is None:
                self.done.lost.add(logical)
                return Piece(logical, BLOCK, None, zeroed)
            mirror = again = following
            state = self._read_again(chunk, logical, mirror, places)
        found = REBUILT if chunk.parities and mirror > 1 else places[mirror - 1]
        for place in reversed(tried if self._behaviour.repairs_all else tried[-1:]):
            self._btrfs_repair_io_failure(place, found)
        return Piece(logical, BLOCK, found)

    def _places(self, chunk: Chunk, logical: int) -> Sequence[Stripe]:
        """Return where each mirror is written; what is rebuilt, of RAID5 and 6, where the data were."""
        stripes = self._volume.copies(logical)
        return [stripes[0]] * chunk.mirrors if chunk.parities else stripes

    def _read_again(
        self, chunk: Chunk, logical: int, mirror: int, places: Sequence[Stripe]
    ) -> BadBlock | None:
        """Read another copy of a block; return what is wrong with it."""
        if chunk.parities and mirror > 1:
            return self._rebuild(chunk, logical, mirror)
        place = places[mirror - 1]
        self.send(self.done.reads, place)
        found = self.bad_blocks(place, logical, BLOCK)
        self._count_failure(place.devid, found.values())
        return found.get(0)

    def _rebuild(self, chunk: Chunk, logical: int, mirror: int) -> BadBlock | None:
        row = self._volume.chunks.row(logical)
        recovery = raid56_parity_recover(chunk, row, logical, mirror, self._volume.present, self._state)
        self.done.reads += recovery.reads
        if recovery.bad is None and self._checked and self._wrong_sum(row.stripes[row.wanted], logical):
            return BadBlock.CORRUPT
        return recovery.bad

    def _state(self, place: Stripe) -> BadBlock | None:
        """Return what is wrong with a block of a row, by itself."""
        bad = self._contents.bad_blocks(*place, None, BLOCK).get(0)
        return None if bad is BadBlock.CORRUPT and place in self.done.repaired else bad

    def _wrong_sum(self, place: Stripe, logical: int) -> bool:
        """Whether not even what was written to a block has the right checksum."""
        return bool(self._contents.bad_blocks(REBUILT.devid, place.physical, logical, BLOCK))

    def _count_failure(self, devid: int, bad: Iterable[BadBlock]) -> None:
        """Count a bio that has failed; a missing device has no count."""
        self.done.read_errs[devid] += devid in self._volume.present and BadBlock.UNREADABLE in bad

    def _btrfs_repair_io_failure(self, place: Stripe, source: Stripe) -> None:
        if place.devid in self._volume.present and not self._volume.read_only:
            self.done.writes.append(Bio(BioKind.REPAIR, *place, BLOCK))
            self.done.repaired[place] = source

    def send(self, bios: list[Bio], place: Stripe, length: int = BLOCK) -> None:
        """Send a bio of a worker; none goes to a missing device."""
        if place.devid in self._volume.present:
            bios.append(Bio(BioKind.REPAIR, *place, length))
