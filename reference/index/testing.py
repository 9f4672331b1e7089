# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the indexes share: the implementations, and one beside a naive one."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

from reference.index.bplus import BPlusTree
from reference.index.interface import ExtentIndex
from reference.index.naive import NaiveIndex
from reference.index.radix import RadixTree
from reference.index.rbtree import RbTree
from reference.index.work import counting
from reference.rbtree import U64_MAX, Extent

__all__ = ["COUNTABLE", "IMPLEMENTATIONS", "KEYS", "Twins", "filled"]

Index: TypeAlias = ExtentIndex[Extent]
COUNTABLE: tuple[type[Index], ...] = (RbTree, RadixTree, BPlusTree)
IMPLEMENTATIONS: tuple[type[Index], ...] = (*COUNTABLE, *map(counting, COUNTABLE), NaiveIndex)

KEYS: dict[str, Callable[[random.Random], int]] = {
    "few": lambda rng: rng.randrange(60),
    "dense": lambda rng: rng.randrange(2_000),
    "pages": lambda rng: rng.randrange(1 << 16) * 4096 + 4095,
    "anywhere": lambda rng: rng.randrange(1 << 64),
    "ends": lambda rng: rng.choice(
        (rng.randrange(5), U64_MAX - rng.randrange(5), (1 << rng.randrange(65)) - 1)
    ),
}
"""How the ends of entries can be spread."""


def filled(cls: type[Index], ends: list[int]) -> Index:
    """Return a `cls` with an entry of one byte at each of `ends`."""
    index = cls()
    for end in ends:
        assert index.insert(Extent(end, end)) is None
    return index


class Twins:
    """An index beside a naive one: every operation is done on both and must give the same object."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.naive: NaiveIndex[Extent] = NaiveIndex()

    def insert(self, end: int) -> None:
        """Insert an entry at `end`, which may be there."""
        entry = Extent(end, end)
        assert self.index.insert(entry) is self.naive.insert(entry)

    def insert_before(self, end: int, offset: int) -> None:
        """Insert an entry at `end` with the hint that it stands before the first one from `offset` on."""
        following = self.naive.search(offset)
        if following is not None:
            entry = Extent(end, end)
            assert self.index.insert_before(entry, following) is self.naive.insert(entry)

    def delete(self, end: int) -> None:
        """Delete what ends at `end`, if anything."""
        assert self.index.delete(end) is self.naive.delete(end)

    def erase_from(self, offset: int) -> None:
        """Erase the first entry that ends at or after `offset`, and look for it again."""
        entry = self.index.search(offset)
        assert entry is self.naive.search(offset)
        if entry is not None:
            self.index.erase(entry)
            self.naive.erase(entry)
            assert self.index.search(offset) is self.naive.search(offset)

    def ask(self, offset: int, count: int) -> None:
        """Compare everything that can be asked about `offset`."""
        index, naive = self.index, self.naive
        assert index.lookup(offset) is naive.lookup(offset)
        entry = naive.search(offset)
        assert index.search(offset) is entry
        assert index.gang_lookup(offset, count) == naive.gang_lookup(offset, count)
        if entry is not None:
            assert index.next(entry) is naive.next(entry)
            assert index.prev(entry) is naive.prev(entry)

    def compare(self) -> None:
        """Compare the whole content, and check the invariants."""
        assert list(self.index) == list(self.naive)
        assert len(self.index) == len(self.naive)
        self.index.validate()

    def random_step(self, rng: random.Random, key: Callable[[random.Random], int], growing: bool) -> None:
        """Do one random operation; in the long run, the index grows or shrinks."""
        kinds = ("insert", "insert before", "delete", "erase", "ask")
        kind = rng.choices(kinds, (3, 3, 1, 1, 4) if growing else (1, 1, 1, 5, 4))[0]
        if kind == "insert":
            self.insert(key(rng))
        elif kind == "insert before":
            end = key(rng)
            self.insert_before(end, rng.choice((end, key(rng))))
        elif kind == "delete":
            self.delete(key(rng))
        elif kind == "erase":
            self.erase_from(key(rng))
        else:
            self.ask(key(rng), rng.randrange(70))
