# SPDX-License-Identifier: GPL-2.0-or-later
"""Moments at which the power may be lost, and what the disks hold then.

A disk with a write cache promises: what was written with FUA, and what had been written when a flush began
that ended, is there. Of all else any sector may be there or not. The moments are chosen from the log of
writes (`write_log`) so that the promise is used to the full:

- "lazy": the disk kept everything in its cache for as long as it could, all of which is lost;
- "flushing": while it was about to flush, and had written some sectors of its cache, in no order;
- "torn": while it was at a FUA write, of which some sectors are there.

Cache and backing device are parts of one disk, or (`two_disks`) of two with a cache each.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.bcache.crash.write_log import SECTOR, Entry, Flag

__all__ = ["KINDS", "Disks", "Moment", "choose", "disk_at", "flushes_of_both"]

KINDS = ("lazy", "flushing", "torn")
_CHANCES = (0.1, 0.5, 0.9)
"""Of a sector to be there."""


@dataclass(frozen=True)
class Moment:
    """When the power is lost."""

    position: int
    """So many entries of the log are history: what they made durable is there."""
    kind: str
    """One of `KINDS`."""
    seed: int
    """Decides which sectors of what was under way are there."""
    two_disks: bool = False


@dataclass(frozen=True)
class Disks:
    """How the disk is divided."""

    cache_sectors: int
    """The cache device, which comes first."""
    backing_sectors: int
    journal: Sequence[range]
    """Where the journal is, in sectors of the disk."""

    @property
    def sectors(self) -> int:
        """Of the whole disk."""
        return self.cache_sectors + self.backing_sectors

    def in_journal(self, entry: Entry) -> bool:
        """Whether a write is one of bcache's journal."""
        return any(bucket.start <= entry.sector < bucket.stop for bucket in self.journal)


def choose(entries: Sequence[Entry], begin: int, count: int, rng: random.Random) -> list[Moment]:
    """Choose so many moments after the first `begin` entries, each kind as often, in the order of the log."""
    moments = []
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        places = _places(entries, begin, kind)
        position = rng.choice(places)
        moments.append(Moment(position, kind, rng.getrandbits(32), two_disks=number % 2 == 1))
    return sorted(moments, key=lambda moment: moment.position)


def _places(entries: Sequence[Entry], begin: int, kind: str) -> Sequence[int]:
    """Return the positions at which a moment of that kind can be."""
    after = range(begin, len(entries))
    if kind == "torn":
        found = [n for n in after if entries[n].flags & Flag.FUA and entries[n].sectors]
    elif kind == "flushing":
        waiting = [n for n in after if entries[n].waits_for_flush]
        found = [n for n in waiting if not entries[n - 1].waits_for_flush]
    else:
        found = []
    return found or after


def flushes_of_both(entries: Sequence[Entry], disks: Disks) -> list[int]:
    """Return the positions of the flushes that may have been of the backing device.

    The log does not tell whose a flush was. But bcache writes one journal entry at a time, each after a flush
    of the cache device, so a flush that stands alone between two journal entries is that one.
    """
    of_both: list[int] = []
    between: list[int] = []
    for n, entry in enumerate(entries):
        if entry.is_flush:
            between.append(n)
        elif entry.flags & Flag.FUA and entry.sectors and disks.in_journal(entry):
            of_both += between if len(between) > 1 else []
            between = []
    return of_both + between


def disk_at(entries: Sequence[Entry], moment: Moment, disks: Disks) -> bytearray:
    """Return what the disk holds after the power was lost at `moment`, having begun with zeros."""
    disk = bytearray(disks.sectors * SECTOR)
    limit = _backing_limit(entries, moment, disks)
    for number in range(moment.position):
        entry = entries[number]
        if entry.waits_for_flush and entry.sector >= disks.cache_sectors and number >= limit:
            continue
        _put(disk, entry)
    for part in _under_way(entries, moment):
        if not (moment.two_disks and part.sector >= disks.cache_sectors):
            _put(disk, part)
    return disk


def _backing_limit(entries: Sequence[Entry], moment: Moment, disks: Disks) -> int:
    """Return up to where what was written to the backing device without FUA is durable."""
    if not moment.two_disks:
        return moment.position
    return max((n for n in flushes_of_both(entries, disks) if n < moment.position), default=0)


def _under_way(entries: Sequence[Entry], moment: Moment) -> Iterator[Entry]:
    """Yield what is there of the writes that were under way, sector by sector."""
    rng = random.Random(moment.seed)
    chance = rng.choice(_CHANCES)
    for entry in _unfinished(entries, moment):
        if entry.flags & Flag.DISCARD:
            if rng.random() < chance:
                yield entry
            continue
        for n in range(entry.sectors):
            if rng.random() < chance:
                yield Entry(entry.sector + n, 1, entry.flags, entry.data[n * SECTOR : (n + 1) * SECTOR])


def _unfinished(entries: Sequence[Entry], moment: Moment) -> Iterator[Entry]:
    if moment.kind == "torn":
        yield entries[moment.position]
    elif moment.kind == "flushing":
        for n in range(moment.position, len(entries)):
            if not entries[n].waits_for_flush:
                return
            yield entries[n]


def _put(disk: bytearray, entry: Entry) -> None:
    start, size = entry.sector * SECTOR, entry.sectors * SECTOR
    if entry.flags & Flag.DISCARD:
        disk[start : start + size] = bytes(size)
    elif not entry.flags & Flag.MARK:
        disk[start : start + len(entry.data)] = entry.data
