# SPDX-License-Identifier: GPL-2.0-or-later
"""Controls: the calls that the ext2 user of the patch makes for each page of a file, in order and at "
"random."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from functools import cache

from harness.judge.applied import CallKind
from reference.extent_map import EXTENT_DIRTY, EXTENT_LOCKED, EXTENT_UPTODATE, EXTENT_WRITEBACK
from reference.extent_state import LINUX_6_18
from suites.claims.masks import Masks
from suites.claims.replay import Step, Trace

__all__ = ["PAGES", "PAGE_SIZE", "controls"]

PAGE_SIZE = 4096
PAGES = 4096
"""Of each control's file: 16 MiB."""
_SEED = 20070724


@cache
def controls() -> tuple[Trace, ...]:
    """Return the controls: pages written and then written back, in order, and both in random order."""
    rng = random.Random(_SEED)
    in_order = range(PAGES)
    return (
        _trace("control: sequential", in_order, in_order),
        _trace("control: random", rng.sample(in_order, PAGES), rng.sample(in_order, PAGES)),
        _trace("control: every other page", range(0, 2 * PAGES, 2), range(0, 2 * PAGES, 2)),
    )


def _trace(name: str, written: Iterable[int], written_back: Iterable[int]) -> Trace:
    steps = [step for page in written for step in _write(page)]
    steps += [step for page in written_back for step in _write_back(page)]
    return Trace(name, {0: steps}, [], Masks(LINUX_6_18))


def _write(page: int) -> Iterator[Step]:
    """extent_prepare_write and extent_commit_write of a page that is all new."""
    yield _set(page, EXTENT_LOCKED, exclusive=True)
    yield _set(page, EXTENT_UPTODATE)
    yield _clear(page, EXTENT_LOCKED)
    yield _set(page, EXTENT_DIRTY)


def _write_back(page: int) -> Iterator[Step]:
    """extent_write_full_page, and the completion of its bio."""
    yield _set(page, EXTENT_LOCKED, exclusive=True)
    yield _set(page, EXTENT_UPTODATE)
    yield _clear(page, EXTENT_DIRTY)
    yield _set(page, EXTENT_WRITEBACK)
    yield _clear(page, EXTENT_LOCKED)
    yield _clear(page, EXTENT_WRITEBACK)


def _set(page: int, bits: int, *, exclusive: bool = False) -> Step:
    return Step(CallKind.SET, page * PAGE_SIZE, (page + 1) * PAGE_SIZE - 1, bits, exclusive)


def _clear(page: int, bits: int) -> Step:
    return Step(CallKind.CLEAR, page * PAGE_SIZE, (page + 1) * PAGE_SIZE - 1, bits)
