# SPDX-License-Identifier: GPL-2.0-or-later
"""The model is stopped at random moments: what is on disk, with its journal, has all that was acknowledged.

Between two operations only; that a write is whole or not there is the disk's promise.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from harness.bcache.model_image import image_of
from harness.bcache.testing import Image, checked
from reference.bcache.bkey import Bkey
from reference.bcache.btree import Decision, Outcome
from reference.bcache.node import Node
from reference.bcache.ondisk import Jset
from reference.bcache.testing import Sector, Work, expanded

Place = tuple[int, int]
KEYS_OF_AN_ENTRY = 150
"""So that an entry fits into a bucket of 4 KiB."""
JOURNAL_KEYS = 3 * KEYS_OF_AN_ENTRY


@dataclass
class CrashingWork(Work):
    """Random work with a journal: what is inserted but not to replace anything is written to it first."""

    journal: list[tuple[int, Bkey]] = field(default_factory=list)
    """Number of the entry, and the key."""
    pins: list[tuple[int, Node, int]] = field(default_factory=list)
    """Which entry a node needs, until it has written more sets than it had."""
    entry: int = 0
    journaling: bool = False
    places: dict[Sector, set[Place]] = field(default_factory=dict)
    """Wherever the data of a sector lie, as they are now."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._insert = self.requests.insert
        self.requests.insert = self.insert  # type: ignore[method-assign]

    def insert(self, keys: list[Bkey], replace_key: Bkey | None = None) -> Outcome:
        """Journal the keys, then insert them (`bch_data_insert_keys`, request.c)."""
        self.journaling = replace_key is None
        if self.journaling:
            self.entry += 1
            self.journal += [(self.entry, k.copy()) for k in keys]
            for k in keys:
                for sector in ((k.inode, k.start + n) for n in range(k.size)):
                    self.places[sector] = set()
        outcome = self._insert(keys, replace_key)
        self.journaling = False
        return outcome

    def _decided(self, decision: Decision) -> None:
        super()._decided(decision)
        if decision.node.level or not decision.status:
            return
        if self.journaling:
            self.pins.append((self.entry, decision.node, len(decision.node.on_disk)))
        for sector, cached in expanded([decision.key]).items() if decision.key.ptr else ():
            self.places.setdefault(sector, set()).add((cached.place, cached.gen))

    def needed(self) -> list[Bkey]:
        """Return the keys from the oldest entry on that a node needs: `last_seq`, journal.c."""
        self.pins = [pin for pin in self.pins if self._holds(pin)]
        last_seq = min((entry for entry, _, _ in self.pins), default=self.entry + 1)
        self.journal = [(entry, k) for entry, k in self.journal if entry >= last_seq]
        return [k for _, k in self.journal]

    def _holds(self, pin: tuple[int, Node, int]) -> bool:
        _, node, written = pin
        return self.c.nodes.get(node.key.ptr[0]) is node and node.dirty and len(node.on_disk) == written

    def crash(self) -> Image:
        """Return what is on disk."""
        if len(self.needed()) > JOURNAL_KEYS:
            # As `btree_flush_write` when the journal is full.
            self.requests.flush()
        keys = self.needed()
        image = image_of(self.c, [])
        [[entry]] = image.jsets
        image.jsets = [[jset] for jset in entries(entry, keys)]
        return image

    def compare(self) -> int:
        """Look at what a crash would leave; returns how many keys are replayed."""
        found = checked(self.crash().pack())
        assert found.findings == []
        recovered = expanded(found.live)
        for sector, cached in recovered.items():
            assert (cached.place, cached.gen) in self.places[sector], f"{sector} is {cached}"
        for sector, known in expanded(self.requests.cached()).items():
            if known.dirty:
                assert sector in recovered, f"{sector} is lost"
                assert recovered[sector].dirty, f"{sector} is clean"
        return found.replayed


def entries(first: Jset, keys: list[Bkey]) -> list[Jset]:
    """Return journal entries with the keys."""
    parts = [keys[n : n + KEYS_OF_AN_ENTRY] for n in range(0, len(keys), KEYS_OF_AN_ENTRY)] or [[]]
    return [
        replace(first, seq=number + 1, words=tuple(word for k in part for word in k.words()))
        for number, part in enumerate(parts)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_nothing_acknowledged_is_lost(seed: int) -> None:
    work = CrashingWork(seed)
    replayed = []
    for _ in range(40):
        for _ in range(8):
            work.one()
        replayed.append(work.compare())
    work.check()
    assert len(set(replayed)) > 10


def test_without_its_journal_something_is_lost() -> None:
    work = CrashingWork(1)
    lost = 0
    for _ in range(20):
        for _ in range(8):
            work.one()
        work.journal.clear()
        try:
            work.compare()
        except AssertionError:
            lost += 1
    assert lost
