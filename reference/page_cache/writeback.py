# SPDX-License-Identifier: GPL-2.0-or-later
"""Dirty pages, and writing them back (mm/page-writeback.c, mm/filemap.c, Linux 2.6.22)."""

from __future__ import annotations

import errno

from reference.machine import BUG_ON, PREEMPT, Steps, note
from reference.page_cache.address_space import AddressSpace, find_get_page, mapping_set_error
from reference.page_cache.page import Page, lock_page, page_cache_release, unlock_page, wait_on_page_writeback

__all__ = [
    "clear_page_dirty_for_io",
    "filemap_fdatawait",
    "filemap_fdatawrite",
    "fsync",
    "redirty_page_for_writepage",
    "set_page_dirty",
    "set_page_dirty_nobuffers",
    "writeback_page",
]


def set_page_dirty_nobuffers(page: Page) -> None:
    """Set PG_dirty (`__set_page_dirty_nobuffers`, mm/page-writeback.c)."""
    page.slab.check(page)
    page.dirty = True
    page.tagged_dirty = True
    note(f"set_page_dirty({page.index})")


def set_page_dirty(page: Page) -> None:
    """Mark the page dirty as its file system does; a truncated page is left alone (mm/page-writeback.c)."""
    if page.mapping is not None:
        page.mapping.a_ops.set_page_dirty(page)


def redirty_page_for_writepage(page: Page) -> None:
    """Make the page dirty again, which writepage could not write (mm/page-writeback.c)."""
    set_page_dirty_nobuffers(page)


def clear_page_dirty_for_io(page: Page) -> bool:
    """Clear PG_dirty and return whether it was set (mm/page-writeback.c)."""
    BUG_ON(not page.locked, "!PageLocked(page)")
    dirty = page.dirty
    page.dirty = False
    return dirty


def writeback_page(mapping: AddressSpace, page: Page, *, wait: bool) -> Steps[int]:
    """Write the page if it is dirty: one turn of the loop of `write_cache_pages`.

    Without `wait` (WB_SYNC_NONE) a page under writeback is passed over. Returns what writepage returns.
    """
    yield from lock_page(page)
    if page.mapping is not mapping:
        unlock_page(page)
        return 0
    if wait:
        yield from wait_on_page_writeback(page)
    if page.writeback or not clear_page_dirty_for_io(page):
        unlock_page(page)
        return 0
    return (yield from mapping.a_ops.writepage(page))


def filemap_fdatawrite(mapping: AddressSpace) -> Steps[int]:
    """Start to write all dirty pages, in order; return the first error (WB_SYNC_ALL)."""
    first = 0
    for index in sorted(mapping.pages):
        yield PREEMPT
        page = find_get_page(mapping, index)
        if page is None:
            continue
        if page.tagged_dirty:
            ret = yield from writeback_page(mapping, page, wait=True)
            if ret:
                mapping_set_error(mapping, ret)
                first = first or ret
        page_cache_release(page)
    return first


def filemap_fdatawait(mapping: AddressSpace) -> Steps[int]:
    """Wait for pages under writeback; return the error of a write (`wait_on_page_writeback_range`)."""
    ret = 0
    for index in sorted(mapping.pages):
        yield PREEMPT
        page = find_get_page(mapping, index)
        if page is None:
            continue
        if page.writeback:
            yield from wait_on_page_writeback(page)
            if page.error:
                ret = -errno.EIO
        page_cache_release(page)
    ret, mapping.error = mapping.error or ret, 0
    return ret


def fsync(mapping: AddressSpace) -> Steps[int]:
    """Write all dirty pages and wait for them; return 0 or -errno (`do_fsync`, fs/sync.c)."""
    yield from mapping.host.i_mutex.mutex_lock()
    ret = yield from filemap_fdatawrite(mapping)
    mapping.host.i_mutex.mutex_unlock()
    waited = yield from filemap_fdatawait(mapping)
    return ret or waited
