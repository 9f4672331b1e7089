# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads during changes, held against the set of results that the design allows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from heapq import heappop, heappush

from harness.bundle import Bundle
from harness.direct_io.races import RACES_FILE, Race, RaceRead, load_race
from harness.verdicts import Check, Difference
from reference.direct_io.concurrent import BLOCK, ChangeKind, States

__all__ = ["checks_of_race", "judge_race"]

LENGTHS, DATA, ORDER = "lengths", "data", "what was seen stays"
BLOCKS, WRITES = "blocks whole", "writes whole"
"""Checks of changes that are all direct, or changes of length."""


def checks_of_race(bundle: Bundle) -> list[Check]:
    """Return the checks of a bundle's race; none if it has none. UserError if its files are damaged."""
    return judge_race(load_race(bundle)) if bundle.has(RACES_FILE) else []


def judge_race(race: Race) -> list[Check]:
    """Return a check of each rule of `reference.direct_io.concurrent`.

    Only reads during which something changed count as compared: what others find, any kernel gets right.
    """
    tally, states = _Tally(), States(race.changes)
    floors = _Floors()
    whole = not any(change.kind is ChangeKind.BUFFERED for change in race.changes)
    torn = mixed = 0
    for number, read in enumerate(sorted(race.reads, key=lambda read: read.begin_ns)):
        lo, hi = states.during(read.begin_ns, read.end_ns)
        for check, count, wrong in _judged(race, read, states, lo, hi, floors, whole=whole):
            tally.add(check, count if hi > lo else 0, wrong and f"read {number} at {read.offset}: {wrong}")
        floors.add(read)
        torn += any(count > 1 for count in _versions_of_blocks(read).values())
        mixed += len({seen.version for seen in read.seen}) > 1
    during = f"{mixed} reads found several versions, {torn} had torn blocks"
    return tally.checks([LENGTHS, DATA, ORDER, *([BLOCKS, WRITES] if whole else [])], during)


@dataclass
class _Tally:
    compared: Counter[str] = field(default_factory=Counter)
    wrong: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, check: str, count: int, wrong: str) -> None:
        self.compared[check] += count
        if wrong:
            self.wrong[check].append(wrong)

    def checks(self, names: list[str], detail: str) -> list[Check]:
        return [self._check(name, detail if name == DATA else "") for name in names]

    def _check(self, name: str, detail: str) -> Check:
        lines = self.wrong[name]
        first = Difference(summary=lines[0], kernel=tuple(lines[:20])) if lines else None
        # One that is wrong was compared, whether or not something changed meanwhile.
        return Check.of(name, max(self.compared[name], len(lines)), len(lines), detail=detail, first=first)


class _Floors:
    """Which version of each block was seen last, by reads that are over."""

    def __init__(self) -> None:
        self._over: list[tuple[int, list[tuple[int, int]]]] = []
        self._seen: dict[int, int] = {}

    def add(self, read: RaceRead) -> None:
        """Note a read; it counts for those that begin when it is over."""
        found = [
            (block, seen.version)
            for seen in read.seen
            for block in range(seen.block, seen.block + seen.blocks)
        ]
        heappush(self._over, (read.end_ns, found))

    def at(self, begin_ns: int) -> dict[int, int]:
        """Return what was seen of each block before; times must not go back."""
        while self._over and self._over[0][0] < begin_ns:
            for block, version in heappop(self._over)[1]:
                self._seen[block] = max(self._seen.get(block, 0), version)
        return self._seen


def _judged(
    race: Race, read: RaceRead, states: States, lo: int, hi: int, floors: _Floors, *, whole: bool
) -> Iterator[tuple[str, int, str]]:
    right = states.may_return(read.offset, read.length, read.returned, lo, hi, direct=whole)
    sizes = sorted(states.lengths(lo, hi))
    yield LENGTHS, 1, "" if right else f"{read.returned} bytes of {read.length}, the file had {sizes}"
    seen_before = floors.at(read.begin_ns)
    for seen in read.seen:
        for block in range(seen.block, seen.block + seen.blocks):
            may = states.versions(block, lo, hi)
            yield DATA, 1, _not_in(block, seen.version, may)
            if seen.version in may:
                later = states.versions(block, max(lo, seen_before.get(block, 0)), hi)
                yield ORDER, 1, _not_in(block, seen.version, later)
    if whole:
        yield from _wholes(race, read, states, lo, hi)


def _not_in(block: int, version: int, allowed: set[int]) -> str:
    return "" if version in allowed else f"block {block} has version {version} of {sorted(allowed)}"


def _versions_of_blocks(read: RaceRead) -> Counter[int]:
    return Counter(b for seen in read.seen for b in range(seen.block, seen.block + seen.blocks))


def _wholes(race: Race, read: RaceRead, states: States, lo: int, hi: int) -> Iterator[tuple[str, int, str]]:
    for block, count in _versions_of_blocks(read).items():
        yield BLOCKS, 1, f"block {block} has {count} versions" if count > 1 else ""
    chunks: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for seen in read.seen:
        for block in range(seen.block, seen.block + seen.blocks):
            chunks[block * BLOCK // race.chunk][block] = seen.version
    for chunk, found in chunks.items():
        versions = sorted(set(found.values()))
        cuts = {cut for version in versions if version > 0 for cut in race.changes[version - 1].cuts}
        whole = all(states.has(piece, lo, hi) for piece in _pieces(found, cuts))
        yield WRITES, 1, "" if whole else f"chunk {chunk} is of versions {versions}, cut at {sorted(cuts)}"


def _pieces(found: Mapping[int, int], cuts: Set[int]) -> Iterator[dict[int, int]]:
    """Divide blocks where an extent begins in one of the writes that were found."""
    piece: dict[int, int] = {}
    for block in sorted(found):
        if piece and block * BLOCK in cuts:
            yield piece
            piece = {}
        piece[block] = found[block]
    yield piece
