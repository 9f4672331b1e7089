# SPDX-License-Identifier: GPL-2.0-or-later
"""Parts of both devices that cannot be read, and what reads of the cached device return then.

Sources: `cached_dev_read_error`, `bch_cache_read_endio`, `backing_request_endio` (request.c): a read that
fails in the cache is made once more, from the backing device, unless some of what it reads is dirty.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from harness.bcache.crash.predict import DATA_START, Prediction
from harness.bcache.crash.stamps import Stamps, stamps_of
from harness.bcache.crash.write_log import SECTOR

__all__ = [
    "FAILED",
    "Bad",
    "Request",
    "backing_stamps",
    "choose_bad",
    "expected",
    "requests",
    "spans",
]

FAILED = None
"""What a read that fails returns."""
_SPOTS = 8
"""Places of each kind that fail."""
_READS = 400
_SIZES = (1, 1, 1, 2, 4, 8, 16)
"""Of reads, in blocks."""


@dataclass(frozen=True)
class Bad:
    """What cannot be read: sectors of the cache device, and of the device that is cached."""

    cache: frozenset[int]
    backing: frozenset[int]


@dataclass(frozen=True)
class Request:
    """A read of the device."""

    sector: int
    sectors: int

    @property
    def range(self) -> range:
        """The sectors."""
        return range(self.sector, self.sector + self.sectors)


def choose_bad(predicted: Prediction, block: int, seed: int) -> Bad:
    """Choose blocks that fail: in the cache, of dirty and of clean data; below, cached and not.

    `block` is the smallest unit of I/O, sectors. Metadata never fail.
    """
    rng = random.Random(seed)
    dirty, clean = _starts(predicted.dirty, block), _starts(predicted.clean, block)
    cached = predicted.dirty.keys() | predicted.clean.keys()
    end = len(predicted.stamps)
    bare = [s for s in range(0, end, block) if cached.isdisjoint(range(s, s + block))]
    in_cache = [*_some(rng, dirty), *_some(rng, clean)]
    below = [*_some(rng, dirty), *_some(rng, clean), *_some(rng, bare)]
    # Some clean data can be had nowhere.
    below += in_cache[-_SPOTS // 2 :]
    places = {**predicted.dirty, **predicted.clean}
    return Bad(
        frozenset(places[sector + n] for sector in in_cache for n in range(block)),
        frozenset(sector + n for sector in below for n in range(block)),
    )


def _starts(places: Collection[int], block: int) -> list[int]:
    """Return the first sectors of the blocks that are in the cache as a whole."""
    known = set(places)
    return sorted(s for s in known if not s % block and known.issuperset(range(s, s + block)))


def _some(rng: random.Random, sectors: list[int]) -> list[int]:
    return rng.sample(sectors, min(_SPOTS, len(sectors)))


def requests(predicted: Prediction, bad: Bad, block: int, seed: int) -> list[Request]:
    """Choose what is read: most of it where something fails, alone or with what is around it."""
    rng = random.Random(seed + 1)
    places = {place: sector for sector, place in (*predicted.dirty.items(), *predicted.clean.items())}
    spots = sorted({*(places[place] for place in bad.cache), *bad.backing})
    end = len(predicted.stamps)
    found = []
    for _ in range(_READS):
        sectors = rng.choice(_SIZES) * block
        near = rng.choice(spots) if rng.random() < 0.8 else rng.randrange(end)
        first = (near - rng.randrange(sectors)) // block * block
        found.append(Request(min(max(first, 0), end - sectors), sectors))
    return found


def expected(predicted: Prediction, bad: Bad, backing: Stamps, request: Request) -> list[int] | None:
    """Return the stamps that a read returns, or FAILED; `backing` is what is on the backing device."""
    dirty = any(sector in predicted.dirty for sector in request.range)
    again = False
    for sector in request.range:
        place = predicted.dirty.get(sector, predicted.clean.get(sector))
        if place is None:
            if sector in bad.backing:
                return FAILED
        elif place in bad.cache:
            again = True
    if not again:
        return [int(predicted.stamps[sector]) for sector in request.range]
    if dirty or not bad.backing.isdisjoint(request.range):
        return FAILED
    return [int(backing[sector]) for sector in request.range]


def backing_stamps(disk: bytes | bytearray, cache_sectors: int) -> Stamps:
    """Return what the backing device holds, of a disk with both."""
    return stamps_of(disk[(cache_sectors + DATA_START) * SECTOR :], 0)


def spans(sectors: Iterable[int], total: int) -> Iterator[tuple[int, int, bool]]:
    """Yield the parts of a device of `total` sectors: where they begin, how long they are, whether they fail.

    >>> list(spans([3, 4, 9], 10))
    [(0, 3, False), (3, 2, True), (5, 4, False), (9, 1, True)]
    """
    begin = 0
    runs: list[list[int]] = []
    for sector in sorted(sectors):
        if runs and runs[-1][1] == sector:
            runs[-1][1] += 1
        else:
            runs.append([sector, sector + 1])
    for first, after in runs:
        if first > begin:
            yield begin, first - begin, False
        yield first, after - first, True
        begin = after
    if begin < total:
        yield begin, total - begin, False
