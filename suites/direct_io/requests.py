# SPDX-License-Identifier: GPL-2.0-or-later
"""Random reads of files: near the ends of extents, of whole blocks and odd, with vectors of all kinds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from harness.direct_io.damage import CopyState, Damage
from harness.direct_io.record import DirectRead, Layout
from harness.judge.direct_io import mainline_reader
from reference.direct_io.mainline import File
from reference.direct_io.source import IoVec, Request
from reference.readahead.source import Stripe

__all__ = ["LONG_SHARE", "damaged_reads", "random_read", "random_reads", "waiting_read"]

BLOCK = 4096
KIB, MIB = 1 << 10, 1 << 20
LENGTHS = (BLOCK, 2 * BLOCK, 16 * KIB, 60 * KIB, 64 * KIB, 68 * KIB, 128 * KIB, 256 * KIB)
LONG = (MIB - BLOCK, MIB, MIB + BLOCK, 2 * MIB + BLOCK, 2 * MIB + 9 * BLOCK, 5 * MIB)
LONG_SHARE = 0.06
MAX_VECTORS = 7


def random_reads(
    rng: random.Random, files: Sequence[File], count: int, long: float = LONG_SHARE
) -> list[DirectRead]:
    """Return `count` reads of files in a random order, some in a row of one file whose pages are kept.

    `long` is the share of reads of about 1 MiB and more.
    """
    reads: list[DirectRead] = []
    while len(reads) < count:
        number = rng.randrange(len(files))
        reads.append(random_read(rng, number, files[number], long))
        while rng.random() < 0.2:
            reads.append(_keeping(rng, random_read(rng, number, files[number], long), reads[-1]))
    return reads[:count]


def random_read(rng: random.Random, number: int, file: File, long: float = LONG_SHARE) -> DirectRead:
    """Return a read of file `number`."""
    if rng.random() < 0.08:
        return _without_waiting(rng, number, file)
    return waiting_read(rng, number, file, long)


def waiting_read(rng: random.Random, number: int, file: File, long: float = 0.0) -> DirectRead:
    """Return a read of file `number` that may wait; `long` is the chance of about 1 MiB and more."""
    odd = rng.random() < 0.15
    offset = _offset(rng, file, odd=odd)
    vectors = _vectors(rng, _length(rng, long, odd=odd))
    return DirectRead(number, offset, vectors, aio=rng.random() < 0.15)


def _keeping(rng: random.Random, read: DirectRead, before: DirectRead) -> DirectRead:
    """Have the read find pages of earlier ones, all of them or all but some, often where `before` read."""
    if rng.random() < 0.6:
        near = before.offset // BLOCK * BLOCK if read.nowait else before.offset
        read = replace(read, offset=max(0, near + rng.randrange(-8, 8) * BLOCK))
    begin = max(0, before.offset // BLOCK + rng.randrange(-4, 32)) * BLOCK
    length = rng.choice((0, BLOCK, 3 * BLOCK, 10 * BLOCK, 40 * BLOCK))
    return replace(read, cached=True, drop_from=begin, drop_bytes=length)


def damaged_reads(rng: random.Random, layout: Layout, count: int) -> list[DirectRead]:
    """Return `count` reads, before each of which copies of blocks that it reads are damaged."""
    reads: list[DirectRead] = []
    while len(reads) < count:
        number = rng.randrange(len(layout.files))
        read = random_read(rng, number, layout.files[number])
        copies = _damage(rng, layout, read)
        if copies:
            reads.append(replace(read, copies=copies))
    return reads


def _damage(rng: random.Random, layout: Layout, read: DirectRead) -> list[CopyState]:
    """Choose up to three blocks, and some copies of each: all of them only where all is read directly.

    What the page cache does about a block that it cannot have is not modelled, nor which copy of a block
    without checksum it takes.
    """
    file = layout.files[read.file]
    reader = mainline_reader(layout, read.file)
    length = sum(length for _, length in read.iov)
    outcome = reader.read(Request(read.offset, read.iov, length), nowait=read.nowait)
    if not outcome.submitted or (outcome.pages and file.nodatasum):
        return []
    copies: dict[Stripe, CopyState] = {}
    for _ in range(rng.randrange(1, 4)):
        one = rng.choice(outcome.submitted)
        logical = one.logical + rng.randrange(one.bio.length // BLOCK) * BLOCK
        if sum(s.logical <= logical < s.logical + s.bio.length for s in outcome.submitted) > 1:
            # Whether the second of two bios meets the damage still, depends on when the first one ends.
            continue
        mapping = layout.volume.chunks.map_block(logical)
        assert mapping is not None
        stripes = list(mapping.stripes)
        most = len(stripes) - 1 if outcome.pages else len(stripes)
        chosen = rng.sample(stripes, rng.randrange(most + 1))
        for stripe in stripes:
            copies.setdefault(stripe, CopyState(logical, *stripe, Damage(stripe in chosen)))
    return list(copies.values()) if any(copy.damaged for copy in copies.values()) else []


def _without_waiting(rng: random.Random, number: int, file: File) -> DirectRead:
    """Return a read with RWF_NOWAIT, of whole blocks: what a buffered one returns depends on timing."""
    length = rng.choice((BLOCK, BLOCK, BLOCK, 2 * BLOCK, 64 * KIB))
    return DirectRead(number, _offset(rng, file, odd=False), [IoVec(0, length)], nowait=True)


def _offset(rng: random.Random, file: File, *, odd: bool) -> int:
    edges = [edge for item in file.items for edge in (item.file_offset, item.end)]
    near = rng.choice([*edges, file.i_size, 0])
    anywhere = rng.randrange(file.i_size + 2 * BLOCK)
    offset = max(0, rng.choice((near, near, anywhere)) + rng.randrange(-4, 4) * BLOCK)
    return offset + rng.randrange(BLOCK) if odd and rng.random() < 0.5 else offset // BLOCK * BLOCK


def _length(rng: random.Random, long: float, *, odd: bool) -> int:
    length = rng.choice(LONG) if rng.random() < long else rng.choice(LENGTHS)
    if odd and rng.random() < 0.5:
        return rng.randrange(1, length)
    return rng.randrange(1, length // BLOCK + 1) * BLOCK if rng.random() < 0.5 else length


def _vectors(rng: random.Random, length: int) -> list[IoVec]:
    """Spread `length` bytes over vectors that do not overlap, but may be empty or have one base."""
    count = 1 if rng.random() < 0.5 else rng.randrange(2, MAX_VECTORS)
    unit = 1 if rng.random() < 0.06 else BLOCK
    cuts = sorted(rng.randrange(length + 1) // unit * unit for _ in range(count - 1))
    lengths = [end - begin for begin, end in zip([0, *cuts], [*cuts, length], strict=True)]
    vectors: list[IoVec] = []
    base = rng.randrange(3) * BLOCK + (rng.choice((512, 64, 1)) if rng.random() < 0.05 else 0)
    for part in lengths:
        # The address of an empty vector does not matter.
        vectors.append(IoVec(base, part) if part else IoVec(base + rng.choice((0, 5)), 0))
        apart = not part or rng.random() < 0.7
        base += -(-part // BLOCK) * BLOCK + (rng.randrange(1, 4) * BLOCK if apart else 0)
    if count > 1 and rng.random() < 0.12:
        _share_a_base(rng, vectors)
    return vectors


def _share_a_base(rng: random.Random, vectors: list[IoVec]) -> None:
    """Give two vectors one base: what comes later is what stays."""
    one, other = rng.sample(range(len(vectors)), 2)
    vectors[one] = IoVec(vectors[other].iov_base, vectors[one].iov_len)
