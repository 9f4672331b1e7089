# SPDX-License-Identifier: GPL-2.0-or-later
"""Properties that an engine with a fault in it breaks: random readaheads, validated after every step.

The same as `reference/readahead/test_readahead_stateful.py` holds of the engine, for one that is given; by
seeds instead of hypothesis, so that a table can say what catches what.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from reference.machine.findings import Finding
from reference.readahead import Behaviour, InvariantError, Key, ReadaControl, Readahead, Root
from reference.readahead.behaviour import MAX_IN_FLIGHT
from reference.readahead.naive import blocks_to_read
from reference.readahead.testing import Blocks, Keeper, key

__all__ = ["broken_property"]

SEEDS = 60
_DEVICES = 4
_GROUPS = 6
_BLOCKS = 24


def broken_property(engine: Callable[..., Readahead]) -> str | None:
    """Return the first property that readaheads by `engine` break; None if they keep all."""
    for behaviour in (Behaviour.linux_5_10, Behaviour.seed_2011):
        for seed in range(SEEDS):
            try:
                found = next(_Run(engine, behaviour, seed).broken(), None)
            except InvariantError as error:
                found = f"invariant {error.number}"
            except Finding as error:
                found = error.kind
            except (AssertionError, AttributeError, LookupError, TypeError) as error:
                found = f"the engine breaks down ({type(error).__name__})"
            if found is not None:
                return f"{found} ({behaviour.name})"
    return None


class _Run:
    """One file system with some readaheads of two trees."""

    def __init__(self, engine: Callable[..., Readahead], behaviour: Behaviour, seed: int) -> None:
        self.behaviour = behaviour
        self.random = random.Random(seed)
        self.source = Blocks([self._copies() for _ in range(_GROUPS)], _BLOCKS)
        places = list(range(_GROUPS * _BLOCKS))
        self.random.shuffle(places)
        stale = set(self.random.sample(places, 2))
        self.roots = [
            self.source.grow(self.random.randint(1, 40), 4, places[:72], stale),
            self.source.grow(self.random.randint(1, 20), 3, places[72:], stale, generation=9),
        ]
        self.keeper = Keeper()
        devids = range(1, _DEVICES + 1)
        self.readahead = engine(self.source, devids, behaviour, observer=self.keeper)
        self.added: list[tuple[ReadaControl, Root, Key, Key]] = []

    def broken(self) -> Iterator[str]:
        """Yield what is broken."""
        for _ in range(self.random.randint(1, 4)):
            self._add()
            yield from self._limit()
            for _ in range(self.random.randrange(12)):
                if self.readahead.pending:
                    self._complete()
                    yield from self._limit()
        for rc, *_ in self.added:
            self.readahead.wait(rc, lambda reads: self.random.randrange(len(reads)))
            self.readahead.validate()
        yield from self._sets()

    def _copies(self) -> tuple[int, ...]:
        if self.random.random() < 0.1:
            return (self.random.randint(1, _DEVICES),) * 2
        return tuple(self.random.sample(range(1, _DEVICES + 1), self.random.choice((1, 2, 2, 3))))

    def _add(self) -> None:
        root = self.random.choice(self.roots)
        first, last = key(self.random.randrange(0, 200, 5)), key(self.random.randrange(200, 410, 5))
        if self.random.random() < 0.3:
            first = key(0)
        rc = self.readahead.add(root, first, last)
        if rc is not None:
            self.added.append((rc, root, first, last))
        self.readahead.validate()

    def _complete(self) -> None:
        read = self.random.choice(self.readahead.pending)
        self.readahead.complete(read.logical)
        self.readahead.validate()

    def _limit(self) -> Iterator[str]:
        picked = Counter(read.picked_by for read in self.readahead.pending)
        if self.behaviour.in_flight_until_completion and any(n > MAX_IN_FLIGHT for n in picked.values()):
            yield "MAX_IN_FLIGHT holds"

    def _sets(self) -> Iterator[str]:
        left_out = set(_unfit(self.source, self.behaviour))
        for rc, root, first, last in self.added:
            expected = sorted(blocks_to_read(self.source, root, first, last, (), left_out))
            if sorted(self.keeper.blocks.get(rc, ())) != expected:
                yield "each range is read"
        times = Counter(logical for _, logical, _ in self.keeper.reads)
        read: Any = self.readahead.reads.in_memory
        if times.keys() != read:
            yield "what is picked is read"


def _unfit(source: Blocks, behaviour: Behaviour) -> Iterator[int]:
    for bytenr in source.nodes:
        mapping = source.map_block(bytenr)
        devids = [stripe.devid for stripe in mapping.stripes] if mapping else []
        twice = behaviour.dup_meets_eexist and len(set(devids)) < len(devids)
        if not devids or len(devids) > behaviour.max_mirrors or twice:
            yield bytenr
