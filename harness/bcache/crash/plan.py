# SPDX-License-Identifier: GPL-2.0-or-later
"""What a crash experiment does: a set, and random writes to it, all of it decided by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from harness.bcache.crash.write_log import SECTOR
from loopdevs import BcacheLayout

__all__ = ["Batch", "CrashPlan", "Write", "batches"]

_SIZES = (1, 2, 4, 8, 8, 8, 8, 16, 32)
"""Of writes, in blocks."""


@dataclass(frozen=True)
class CrashPlan:
    """A set, and what is written to it."""

    layout: BcacheLayout
    batches: int = 60
    """So many times some writes are made side by side."""
    side_by_side: int = 8
    """Writes of a batch, no two of which touch the same sector."""
    area_sectors: int = 8192
    """The writes go to so many sectors at the beginning of the device."""
    flush_chance: float = 0.25
    """Of a flush of the device after a batch."""
    fua_chance: float = 0.1
    """Of a write to be FUA."""
    read_chance: float = 0.2
    """Of a read of some sectors after a batch."""
    gc_chance: float = 0.05
    """Of a garbage collection after a batch."""
    writeback_chance: float = 0.05
    """Of writing back all that is dirty after a batch."""


@dataclass(frozen=True)
class Write:
    """A write to the device: each of its sectors tells its number (`stamps`)."""

    number: int
    sector: int
    sectors: int
    fua: bool


@dataclass(frozen=True)
class Batch:
    """Writes side by side, and what follows when all have ended."""

    writes: tuple[Write, ...]
    flush: bool
    read: int | None
    """A sector from which on some are read."""
    collect: bool
    write_back: bool


def batches(plan: CrashPlan, seed: int) -> Iterator[Batch]:
    """Yield what is done, one batch after the other."""
    rng = random.Random(seed)
    number = 1
    for _ in range(plan.batches):
        writes = tuple(_writes(plan, number, rng))
        number += len(writes)
        yield Batch(
            writes,
            flush=rng.random() < plan.flush_chance,
            read=_read(plan, rng) if rng.random() < plan.read_chance else None,
            collect=rng.random() < plan.gc_chance,
            write_back=rng.random() < plan.writeback_chance,
        )


def _writes(plan: CrashPlan, number: int, rng: random.Random) -> Iterator[Write]:
    block = plan.layout.block_bytes // SECTOR
    taken: set[int] = set()
    for _ in range(plan.side_by_side):
        blocks = rng.choice(_SIZES)
        first = rng.randrange(plan.area_sectors // block - blocks)
        if taken.isdisjoint(range(first, first + blocks)):
            taken.update(range(first, first + blocks))
            yield Write(number, first * block, blocks * block, rng.random() < plan.fua_chance)
            number += 1


def _read(plan: CrashPlan, rng: random.Random) -> int:
    block = plan.layout.block_bytes // SECTOR
    return rng.randrange(plan.area_sectors) // block * block
