# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads of which something is damaged before: some copies, all of them, what a block is rebuilt from.

Alone, or one after the other: what follows a read finds of its damage what that has left.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.direct_io.damage import BLOCK, CopyState, Damage
from harness.direct_io.record import DirectRead, Layout
from reference.direct_io.mainline import Outcome, Reader, Submitted
from reference.direct_io.source import Request
from reference.ondisk import Chunk
from reference.readahead.source import Stripe
from suites.direct_io.requests import random_read

__all__ = ["FaultyReads"]

MOST_BLOCKS = 3
"""So many blocks are damaged at a time."""
FOLLOWED = 0.35
"""How many of the reads are followed by another one of the same damage."""


@dataclass
class FaultyReads:
    """Chooses reads of files, and what is damaged before each."""

    rng: random.Random
    layout: Layout
    kinds: Sequence[Damage]
    """What can be done to a copy."""
    long: float = 0.03

    def reads(self, count: int) -> list[DirectRead]:
        """Return `count` reads; every one of them is of something damaged, or follows one that is."""
        reads: list[DirectRead] = []
        while len(reads) < count:
            number = self.rng.randrange(len(self.layout.files))
            read = random_read(self.rng, number, self.layout.files[number], self.long)
            copies = self._damage(read)
            if not self._worth_it(read, copies):
                continue
            reads.append(replace(read, copies=copies))
            while self.rng.random() < FOLLOWED:
                reads.append(self._another(reads[-1]))
        return reads[:count]

    def _worth_it(self, read: DirectRead, copies: Sequence[CopyState]) -> bool:
        """Whether a read meets what is bad: the damage, or what the file system has had before."""
        if any(copy.damaged for copy in copies):
            return True
        contents, present = self.layout.contents, self.layout.volume.present
        return any(
            one.bio.devid not in present
            or contents.bad_blocks(one.bio.devid, one.bio.physical, one.logical, one.bio.length)
            for one in self._outcome(read).submitted
        )

    def _another(self, read: DirectRead) -> DirectRead:
        """Return a read that follows: the same, or one that begins a little before or behind."""
        offset = max(0, read.offset + self.rng.choice((0, 0, -2, -1, 1, 3)) * BLOCK)
        return replace(read, offset=offset, follows=True, aio=False)

    def _outcome(self, read: DirectRead) -> Outcome:
        file = self.layout.files[read.file]
        length = sum(length for _, length in read.iov)
        reader = Reader(file, self.layout.volume, self.layout.contents)
        return reader.read(Request(read.offset, read.iov, length), nowait=read.nowait)

    def _damage(self, read: DirectRead) -> list[CopyState]:
        submitted = self._outcome(read).submitted
        copies: dict[Stripe, CopyState] = {}
        if not submitted:
            return []
        for _ in range(self.rng.randrange(1, MOST_BLOCKS + 1)):
            one = self.rng.choice(submitted)
            logical = one.logical + self.rng.randrange(one.bio.length // BLOCK) * BLOCK
            if sum(_submitted(submitted, block) for block in self._column(logical)) > 1:
                # Whether the second of two bios meets the damage still, depends on when the first one ends.
                continue
            for copy in self._copies(logical, checked=not self.layout.files[read.file].nodatasum):
                copies.setdefault(copy.stripe, copy)
        return list(copies.values())

    def _column(self, logical: int) -> list[int]:
        """Return a block, and those that are rebuilt from it."""
        chunk = self.layout.volume.chunks.lookup(logical)
        assert chunk is not None
        if not chunk.parities:
            return [logical]
        first = logical - self.layout.volume.chunks.row(logical).wanted * chunk.stripe_len
        return [first + number * chunk.stripe_len for number in range(chunk.data_stripes)]

    def _copies(self, logical: int, *, checked: bool) -> Iterator[CopyState]:
        """Yield what belongs to a block, some of it damaged."""
        chunk = self.layout.volume.chunks.lookup(logical)
        assert chunk is not None
        stripes = self._row(chunk, logical)
        chosen = self._chosen(chunk, stripes, checked=checked)
        for stripe in stripes:
            yield CopyState(
                logical, *stripe, self.rng.choice(self.kinds) if stripe in chosen else Damage.NONE
            )

    def _row(self, chunk: Chunk, logical: int) -> list[Stripe]:
        """Return all copies; of RAID5 and 6 the block's own first, then the rest of its row."""
        if not chunk.parities:
            mapping = self.layout.volume.chunks.map_block(logical)
            assert mapping is not None
            return list(mapping.stripes)
        row = self.layout.volume.chunks.row(logical)
        own = row.stripes[row.wanted]
        return [own, *(stripe for stripe in row.stripes if stripe != own)]

    def _chosen(self, chunk: Chunk, stripes: Sequence[Stripe], *, checked: bool) -> list[Stripe]:
        if not chunk.parities:
            return self.rng.sample(stripes, self.rng.randrange(len(stripes) + 1))
        if not checked:
            # What is rebuilt from damaged blocks is given to the reader; what that is, is not kept.
            whole = all(stripe.devid in self.layout.volume.present for stripe in stripes)
            return [stripes[0]] if whole else []
        others = self.rng.sample(stripes[1:], self.rng.choice((0, 0, 1, 1, 2, min(3, len(stripes) - 1))))
        return [stripes[0], *others] if self.rng.random() < 0.85 else others


def _submitted(submitted: Sequence[Submitted], logical: int) -> int:
    """Return how many bios read a block."""
    return sum(one.logical <= logical < one.logical + one.bio.length for one in submitted)
