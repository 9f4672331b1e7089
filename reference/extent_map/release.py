# SPDX-License-Identifier: GPL-2.0-or-later
"""Forgetting pages (fs/extent_map.c of both versions, July 2007)."""

from __future__ import annotations

from reference.extent_map.bits import (
    EXTENT_LOCKED,
    EXTENT_UPTODATE,
    EXTENT_WRITEBACK,
    GFP_NOFS,
)
from reference.extent_map.objects import ExtentMap
from reference.extent_map.page_io import ExtentIo, page_end
from reference.machine import PREEMPT, WARN_ON, Blocked, Steps
from reference.page_cache.page import Page

__all__ = ["drop_mappings", "extent_invalidatepage", "try_release_extent_mapping"]

SPINS = 3
"""How often a loop that spins while something is locked is followed, before it is left to wait."""


def extent_invalidatepage(io: ExtentIo, page: Page, offset: int) -> Steps[int]:
    """Wait for I/O on the locked page from byte `offset` on, and forget all states there. Returns 0."""
    start = io.start_of(page)
    end = page_end(start)
    start += offset
    if not io.behaviour.invalidate_splits_block:
        start = -(-start // io.blocksize) * io.blocksize
        if start > end:
            return 0
    yield from io.lock_extent(start, end)
    yield from io.tree.wait_on_extent_writeback(start, end)
    yield from io.tree.clear_extent_bit(start, end, EXTENT_LOCKED, True, True, GFP_NOFS)
    return 0


def try_release_extent_mapping(io: ExtentIo, page: Page) -> Steps[int]:
    """Forget mappings and states of the locked page, unless it has locked bytes. Returns 1 if it was done."""
    start = io.start_of(page)
    end = page_end(start)
    if not (yield from drop_mappings(io, start, end)):
        return 0
    under_writeback = yield from io.tree.test_range_bit(start, end, EXTENT_WRITEBACK, False)
    WARN_ON(under_writeback, "test_range_bit(tree, orig_start, end, EXTENT_WRITEBACK, 0)")
    yield from io.tree.clear_extent_bit(start, end, EXTENT_UPTODATE, True, True, GFP_NOFS)
    return 1


def drop_mappings(io: ExtentIo, start: int, end: int) -> Steps[bool]:
    """Forget all mappings that have a byte of [start, end]; return False where there is a locked one.

    What a mapping says of other pages goes too: they ask get_extent again.
    """
    tree, behaviour = io.tree, io.behaviour
    spins = 0
    while start <= end:
        em = yield from tree.lookup_extent_mapping(start, end)
        if em is None:
            break
        if (yield from _is_locked(io, em, start, end)):
            if behaviour.release_spins:
                spins += 1
                yield from _spin(io, em, spins)
                continue
            return _let_be(io, em)
        removed = yield from tree.remove_extent_mapping(em)
        start = em.end + 1
        if removed == 0 or behaviour.release_ignores_lost_race:
            tree.free_extent_map(em)
        tree.free_extent_map(em)
    return True


def _is_locked(io: ExtentIo, em: ExtentMap, start: int, end: int) -> Steps[int]:
    behaviour = io.behaviour
    if behaviour.release_spins or behaviour.release_keeps_mapping or behaviour.release_uses_freed_mapping:
        # All that the mapping covers, pages that are not ours included.
        start, end = em.start, em.end
    return (yield from io.tree.test_range_bit(start, end, EXTENT_LOCKED, False))


def _let_be(io: ExtentIo, em: ExtentMap) -> bool:
    """Leave the mapping, which has locked bytes, where it is."""
    io.tree.free_extent_map(em)
    if io.behaviour.release_uses_freed_mapping:
        _ = em.end + 1
    return io.behaviour.release_keeps_mapping


def _spin(io: ExtentIo, em: ExtentMap, spins: int) -> Steps[None]:
    """Go round once more, with the mapping's reference kept; many times are like a few."""
    if spins < SPINS:
        yield PREEMPT
        return
    start, end = em.start, em.end
    yield Blocked(
        lambda: io.tree.states.first_with(start, end, EXTENT_LOCKED) is None,
        "try_release_extent_mapping, spinning",
    )
