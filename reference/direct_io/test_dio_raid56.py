# SPDX-License-Identifier: GPL-2.0-or-later
"""Blocks of RAID5 and 6 that are rebuilt, against arithmetic on bytes."""

from __future__ import annotations

import random

import pytest

from reference.direct_io.mainline.file import BLOCK, BadBlock
from reference.direct_io.mainline.raid56 import raid56_parity_recover
from reference.ondisk import BlockGroupFlag, Chunk, ChunkMap, ChunkStripe, failed_stripes, rebuild
from reference.ondisk.raid56 import parity
from reference.readahead.source import Stripe

MIB = 1 << 20
KIB64 = 64 << 10
COLUMNS = KIB64 // BLOCK
DATA = BlockGroupFlag.DATA
LEVELS = {BlockGroupFlag.RAID5: 3, BlockGroupFlag.RAID6: 5}


def chunk_of(level: BlockGroupFlag, devices: int) -> Chunk:
    stripes = tuple(ChunkStripe(n, n * MIB) for n in range(1, devices + 1))
    return Chunk(MIB, (devices - 1) * MIB, DATA | level, stripes)


def at(chunk: Chunk, block: int) -> int:
    return chunk.start + block * BLOCK


def good(_place: Stripe) -> BadBlock | None:
    return None


def test_all_of_a_row_is_read_but_the_block() -> None:
    chunk = chunk_of(BlockGroupFlag.RAID5, 3)
    logical = at(chunk, 3)
    row = ChunkMap([chunk]).row(logical)
    found = raid56_parity_recover(chunk, row, logical, 2, {1, 2, 3}, good)
    assert [
        (bio.devid, (bio.physical - bio.devid * MIB) // BLOCK, bio.length // BLOCK) for bio in found.reads
    ] == [
        (1, 0, 3),
        (1, 4, 12),
        (2, 0, 16),
        (3, 0, 16),
    ]
    assert found.bad is None


def test_nothing_is_read_of_a_missing_device() -> None:
    chunk = chunk_of(BlockGroupFlag.RAID5, 3)
    row = ChunkMap([chunk]).row(chunk.start)
    found = raid56_parity_recover(chunk, row, chunk.start, 2, {2, 3}, good)
    assert ([bio.devid for bio in found.reads], found.bad) == ([2, 3], None)


def test_an_error_in_another_column_spoils_all() -> None:
    chunk = chunk_of(BlockGroupFlag.RAID5, 3)
    row = ChunkMap([chunk]).row(chunk.start)
    bad = Stripe(2, 2 * MIB + 9 * BLOCK)

    def state(place: Stripe) -> BadBlock | None:
        return BadBlock.UNREADABLE if place == bad else None

    for present, expected in (({1, 2, 3}, BadBlock.UNREADABLE), ({2, 3}, BadBlock.UNREADABLE)):
        assert raid56_parity_recover(chunk, row, chunk.start, 2, present, state).bad is expected


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_rebuilt_is_right_when_the_bytes_are(level: BlockGroupFlag) -> None:
    outcomes = set()
    for seed in range(4000):
        rng = random.Random(seed)
        devices = LEVELS[level]
        chunk = chunk_of(level, devices)
        logical = at(chunk, rng.randrange(200))
        row = ChunkMap([chunk]).row(logical)
        data = [rng.randbytes(16) for _ in range(chunk.data_stripes)]
        written = [*data, *parity(data, chunk.parities)]
        corrupt = set(rng.sample(range(devices), rng.randrange(3)))
        missing = set(rng.sample(range(devices), rng.choice((0, 0, 1, 2))))
        unreadable = set(rng.sample(range(devices), rng.choice((0, 0, 0, 1))))
        mirror = rng.randrange(2, chunk.mirrors + 1)
        states = {row.stripes[n]: BadBlock.CORRUPT for n in corrupt}
        states |= {row.stripes[n]: BadBlock.UNREADABLE for n in unreadable}
        present = {stripe.devid for n, stripe in enumerate(row.stripes) if n not in missing}
        told = raid56_parity_recover(chunk, row, logical, mirror, present, states.get)

        lost = failed_stripes(mirror, row.wanted, devices) | missing | unreadable
        held = [rng.randbytes(16) if n in corrupt else block for n, block in enumerate(written)]
        bytes_ = rebuild([None if n in lost else b for n, b in enumerate(held)], row.wanted, chunk.parities)
        due = BadBlock.UNREADABLE if len(lost) > chunk.parities else None
        if due is None and bytes_ != written[row.wanted]:
            due = BadBlock.CORRUPT
        assert told.bad is due, (seed, mirror, row.wanted, corrupt, missing, unreadable)
        outcomes.add(due)
    assert outcomes == {None, BadBlock.CORRUPT, BadBlock.UNREADABLE}
