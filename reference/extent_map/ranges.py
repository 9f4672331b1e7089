# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages and extent states of a range together (fs/extent_map.c of both versions, July 2007)."""

from __future__ import annotations

import errno

from reference.extent_map.bits import GFP_NOFS
from reference.extent_map.page_io import ExtentIo
from reference.machine import BUG_ON, Steps
from reference.page_cache.address_space import find_get_page, grab_cache_page
from reference.page_cache.page import (
    PAGE_CACHE_SHIFT,
    Page,
    page_cache_release,
    set_page_writeback,
    unlock_page,
)
from reference.page_cache.writeback import set_page_dirty_nobuffers

__all__ = ["lock_range", "set_range_dirty", "set_range_writeback", "unlock_range"]


def set_range_dirty(io: ExtentIo, start: int, end: int) -> Steps[int]:
    """Make the pages and the states of [start, end] dirty; a Bug if a page is not cached."""
    for index in _indexes(start, end):
        page = _cached(io, index)
        set_page_dirty_nobuffers(page)
        page_cache_release(page)
    yield from io.tree.set_extent_dirty(start, end, GFP_NOFS)
    return 0


def set_range_writeback(io: ExtentIo, start: int, end: int) -> Steps[int]:
    """Put the pages and the states of [start, end] under writeback; a Bug if a page is not cached."""
    for index in _indexes(start, end):
        page = _cached(io, index)
        set_page_writeback(page)
        page_cache_release(page)
    yield from io.tree.set_extent_writeback(start, end, GFP_NOFS)
    return 0


def lock_range(io: ExtentIo, start: int, end: int, fails_at: int | None = None) -> Steps[int]:
    """Lock the pages of [start, end], which are made if need be, and then the states.

    Each page keeps a reference until `unlock_range`. Returns 0, or -ENOMEM where memory runs out: at the page
    with index `fails_at`.
    """
    for index in _indexes(start, end):
        if index == fails_at:
            _unlock_pages(
                io, start, (index << PAGE_CACHE_SHIFT) - 1, io.behaviour.failed_lock_range_keeps_references
            )
            return -errno.ENOMEM
        yield from grab_cache_page(io.mapping, index)
    err = yield from io.lock_extent(start, end)
    if not err or io.behaviour.lock_range_ignores_failure:
        return 0
    _unlock_pages(io, start, end, io.behaviour.failed_lock_range_keeps_references)
    return err


def unlock_range(io: ExtentIo, start: int, end: int) -> Steps[int]:
    """Undo `lock_range`."""
    _unlock_pages(io, start, end, io.behaviour.unlock_range_keeps_references)
    yield from io.unlock_extent(start, end)
    return 0


def _unlock_pages(io: ExtentIo, start: int, end: int, keeps_references: bool) -> None:
    for index in _indexes(start, end):
        page = _cached(io, index)
        unlock_page(page)
        page_cache_release(page)
        if not keeps_references:
            page_cache_release(page)


def _indexes(start: int, end: int) -> range:
    return range(start >> PAGE_CACHE_SHIFT, (end >> PAGE_CACHE_SHIFT) + 1)


def _cached(io: ExtentIo, index: int) -> Page:
    page = find_get_page(io.mapping, index)
    BUG_ON(page is None, "!page")
    assert page is not None
    return page
