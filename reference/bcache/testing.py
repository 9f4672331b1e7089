# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the btree model share: small sets, and random work on them held against a dict."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import takewhile

from reference.bcache.behaviour import Behaviour
from reference.bcache.bkey import Bkey, ptr_gen, ptr_offset
from reference.bcache.btree import BtreeOp, Decision, Outcome
from reference.bcache.geometry import Geometry
from reference.bcache.invariants import validate
from reference.bcache.keybuf import bch_btree_map_keys
from reference.bcache.node import Node
from reference.bcache.requests import CacheFullError, Requests
from reference.bcache.setup import new_cache_set
from reference.bcache.structs import Replacement

__all__ = ["SMALL", "TIGHT", "DataLostError", "Work", "at_rest"]

SMALL = Geometry(bucket_size=8, block_size=1, nbuckets=640, first_bucket=2)
"""Buckets and nodes of 4 KiB: a leaf holds some 100 keys."""
TIGHT = replace(SMALL, nbuckets=520)
"""So few that what is cached has to make room."""
SECTORS = 4000
"""Of each of two devices."""
SIZES = (1, 2, 4, 8, 8, 8, 16, 40, 120)
Sector = tuple[int, int]


class DataLostError(AssertionError):
    """The tree says something else of a sector than what was done with it."""


@dataclass(frozen=True)
class _Cached:
    """Where a sector is."""

    place: int
    gen: int
    dirty: bool


@dataclass
class Work:
    """Random operations of a seed, and a dict that knows what has to be cached where.

    The cache may forget what is clean, never what is dirty, and never knows something old.
    """

    seed: int
    geometry: Geometry = TIGHT
    behaviour: Behaviour = field(default_factory=Behaviour)
    replacement: Replacement = Replacement.LRU
    statuses: Counter[int] = field(default_factory=Counter)
    splits: Counter[tuple[int, bool]] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        op = BtreeOp(decided=self._decided, split=self._split)
        self.requests = Requests(*new_cache_set(self.geometry, self.behaviour, self.replacement), op)
        self.c = self.requests.c
        self.known: dict[Sector, _Cached] = {}
        self.versions: Counter[Sector] = Counter()
        self._placed: dict[Sector, _Cached] = {}
        """Where the last operation put what."""
        self.fills: list[tuple[Bkey, dict[Sector, int]]] = []

    def _decided(self, decision: Decision) -> None:
        self.statuses[decision.status] += 1
        if decision.key.ptr and decision.status and not decision.node.level:
            self._placed |= expanded([decision.key])

    def _split(self, node: Node, split: bool) -> None:
        self.splits[node.level, split] += 1

    def run(self, operations: int, check_every: int = 25) -> Work:
        """Do so many operations, and look at everything now and then, and at the end."""
        for number in range(operations):
            self.one()
            if number % check_every == 0:
                self.check()
        self.check()
        return self

    def one(self) -> None:
        """Do one operation."""
        chances = {
            self._write: 40,
            self._miss: 15,
            self._fill: 15,
            self._discard: 3,
            self._write_back: 1,
            self._collect: 1,
            self._move: 1,
        }
        self._placed.clear()
        try:
            self.rng.choices(list(chances), list(chances.values()))[0]()
        except CacheFullError:
            self.outcomes["full"] += 1
            self._write_back()

    def check(self) -> None:
        """Raise when an invariant is broken, or the tree says something else than the dict."""
        validate(self.c)
        there = expanded(self.requests.cached())
        for sector, cached in there.items():
            if self.known.get(sector) != cached:
                raise DataLostError(f"{sector} is {cached}, should be {self.known.get(sector)}")
        for sector, cached in self.known.items():
            if sector not in there and not self._may_be_forgotten(cached):
                raise DataLostError(f"{sector} is not there, should be {cached}")
        self.known = there

    def _may_be_forgotten(self, cached: _Cached) -> bool:
        reused = self.c.cache.buckets[cached.place // self.geometry.bucket_size].gen != cached.gen
        return reused and not cached.dirty

    def _range(self) -> tuple[int, int, int]:
        return self.rng.randrange(2), self.rng.randrange(SECTORS), self.rng.choice(SIZES)

    def _write(self) -> None:
        inode, start, size = self._range()
        self._forget(inode, start, size)
        dirty = self.rng.random() < 0.3
        self.requests.write(inode, start, size, writeback=dirty, point=self.rng.randrange(4))
        self._learn(inode, start, size)

    def _miss(self) -> None:
        inode, start, size = self._range()
        if self.fills and self.rng.random() < 0.3:
            # As when two ask for the same: each fill has to know which of them was overtaken.
            asked = self.rng.choice(self.fills)[0]
            inode, start, size = asked.inode, asked.start, asked.size
        if any((inode, sector) in self.known for sector in range(start, start + size)):
            return
        k = self.requests.miss(inode, start, size)
        self.fills.append((k, {(k.inode, s): self.versions[k.inode, s] for s in range(k.start, k.offset)}))

    def _fill(self) -> None:
        if not self.fills:
            return
        k, versions = self.fills.pop(self.rng.randrange(len(self.fills)))
        before = self._there(k.inode, k.start, k.size)
        self.outcomes[self.requests.fill(k).name] += 1
        after = self._there(k.inode, k.start, k.size)
        for sector, version in versions.items():
            filled = sector in after and before.get(sector) != after[sector]
            if filled and self.versions[sector] != version:
                raise DataLostError(f"{sector} was written, then filled with what was there before")
            if filled:
                self.known[sector] = after[sector]

    def _discard(self) -> None:
        inode, start, _ = self._range()
        size = self.rng.choice((8, 100, 1000))
        self._forget(inode, start, size)
        self.requests.discard(inode, start, size)

    def _write_back(self) -> None:
        for k in list(self.requests.dirty())[:60]:
            if self.requests.written_back(k) is Outcome.DONE:
                self._learn(k.inode, k.start, k.size)

    def _collect(self) -> None:
        self.requests.collect()

    def _move(self) -> None:
        before = expanded(self.requests.cached())
        self.outcomes["moved"] += self.requests.move()
        after = expanded(self.requests.cached())
        for sector, cached in before.items():
            # What is moved stays cached, and as dirty as it was; clean data may go for want of buckets.
            if sector in after and after[sector].dirty == cached.dirty:
                self.known[sector] = after[sector]

    def _there(self, inode: int, start: int, size: int) -> dict[Sector, _Cached]:
        """Return what is cached of a range, and of what reaches into it."""
        after = bch_btree_map_keys(self.c, (inode, start))
        return expanded(takewhile(lambda k: k.start_position < (inode, start + size), after))

    def _forget(self, inode: int, start: int, size: int) -> None:
        for sector in range(start, start + size):
            self.versions[inode, sector] += 1
            self.known.pop((inode, sector), None)

    def _learn(self, inode: int, start: int, size: int) -> None:
        """Note where a range is that was just inserted: there, or its bucket was reused since."""
        there = self._there(inode, start, size)
        for sector in ((inode, start + n) for n in range(size)):
            placed = self._placed.get(sector)
            if placed is None or (there.get(sector) != placed and not self._may_be_forgotten(placed)):
                raise DataLostError(f"{sector} was put at {placed} and is {there.get(sector)}")
            self.known[sector] = placed


def expanded(keys: Iterable[Bkey]) -> dict[Sector, _Cached]:
    """Return where each sector is."""
    return {
        (k.inode, k.start + n): _Cached(ptr_offset(k.ptr[0]) + n, ptr_gen(k.ptr[0]), k.dirty)
        for k in keys
        for n in range(k.size)
    }


def at_rest(seed: int, operations: int) -> Work:
    """Return work that was done, with everything written: what a set looks like that was stopped."""
    work = Work(seed).run(operations, operations)
    work.requests.flush()
    return work
