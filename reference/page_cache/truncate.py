# SPDX-License-Identifier: GPL-2.0-or-later
"""Taking pages away: truncate, invalidate, reclaim (mm/truncate.c, vmscan.c, memory.c, Linux 2.6.22)."""

from __future__ import annotations

from collections.abc import Callable

from reference.machine import BUG_ON, PREEMPT, Steps
from reference.page_cache.address_space import (
    AddressSpace,
    find_get_page,
    find_lock_page,
    remove_from_page_cache,
)
from reference.page_cache.ext2 import Inode, i_size_read, i_size_write
from reference.page_cache.page import (
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    Page,
    lock_page,
    page_cache_release,
    unlock_page,
    wait_on_page_writeback,
    zero_user_page,
)

__all__ = ["invalidate_mapping_pages", "invalidate_page", "truncate_inode_pages", "vmtruncate"]

Truncate = Callable[[Inode], Steps[int]]
"""`i_op->truncate`; what it returns, 0 or -errno, the kernel of 2007 would not know."""


def truncate_inode_pages(mapping: AddressSpace, lstart: int) -> Steps[None]:
    """Remove all pages from byte `lstart` on; zero the rest of the one that it is in (mm/truncate.c)."""
    start = (lstart + PAGE_CACHE_SIZE - 1) >> PAGE_CACHE_SHIFT
    yield from _truncate_what_is_free(mapping, start)
    partial = lstart & (PAGE_CACHE_SIZE - 1)
    if partial:
        page = yield from find_lock_page(mapping, start - 1)
        if page is not None:
            yield from wait_on_page_writeback(page)
            yield from truncate_partial_page(page, partial)
            unlock_page(page)
            page_cache_release(page)
    yield from _truncate_all(mapping, start)


def _truncate_what_is_free(mapping: AddressSpace, start: int) -> Steps[None]:
    for index in sorted(index for index in mapping.pages if index >= start):
        yield PREEMPT
        page = find_get_page(mapping, index)
        if page is None:
            continue
        if not page.locked:
            page.locked = True
            if not page.writeback:
                yield from truncate_complete_page(mapping, page)
            unlock_page(page)
        page_cache_release(page)


def _truncate_all(mapping: AddressSpace, start: int) -> Steps[None]:
    while True:
        yield PREEMPT
        index = min((index for index in mapping.pages if index >= start), default=None)
        if index is None:
            return
        page = find_get_page(mapping, index)
        assert page is not None
        yield from lock_page(page)
        yield from wait_on_page_writeback(page)
        yield from truncate_complete_page(mapping, page)
        unlock_page(page)
        page_cache_release(page)


def truncate_partial_page(page: Page, partial: int) -> Steps[None]:
    """Zero the locked page from `partial` on (mm/truncate.c)."""
    zero_user_page(page, partial, PAGE_CACHE_SIZE - partial)
    if page.has_private:
        yield from do_invalidatepage(page, partial)


def truncate_complete_page(mapping: AddressSpace, page: Page) -> Steps[None]:
    """Remove the locked page from its mapping, whatever state it is in (mm/truncate.c)."""
    if page.mapping is not mapping:
        return
    page.dirty = False  # cancel_dirty_page
    if page.has_private:
        yield from do_invalidatepage(page, 0)
    page.uptodate = False
    remove_from_page_cache(page)
    page_cache_release(page)


def do_invalidatepage(page: Page, offset: int) -> Steps[None]:
    """Let the file system forget the locked page from `offset` on (mm/truncate.c)."""
    assert page.mapping is not None
    yield from page.mapping.a_ops.invalidatepage(page, offset)


def try_to_release_page(page: Page) -> Steps[int]:
    """Have the file system give up `page.private`; 1 if it did (mm/filemap.c, fs/buffer.c)."""
    BUG_ON(not page.locked, "!PageLocked(page)")
    if page.writeback or page.mapping is None:
        return 0
    return (yield from page.mapping.a_ops.releasepage(page))


def invalidate_page(mapping: AddressSpace, page: Page) -> Steps[bool]:
    """Drop the page if it is clean, and nobody locks or uses it; return whether it was dropped.

    The caller has a reference. One turn of the loop of `invalidate_mapping_pages`, and what reclaim
    (`shrink_page_list`, `remove_mapping`) does with a clean page.
    """
    if page.locked:
        return False
    page.locked = True
    dropped = False
    if page.mapping is mapping and not page.dirty and not page.writeback:
        released = not page.has_private or (yield from try_to_release_page(page))
        # remove_mapping: the cache's reference and ours.
        if released and page.mapping is mapping and page.count == 2 and not page.dirty:
            remove_from_page_cache(page)
            page_cache_release(page)
            dropped = True
    unlock_page(page)
    return dropped


def invalidate_mapping_pages(mapping: AddressSpace) -> Steps[int]:
    """Drop all clean pages that nobody uses (mm/truncate.c); return how many."""
    dropped = 0
    for index in sorted(mapping.pages):
        yield PREEMPT
        page = find_get_page(mapping, index)
        if page is not None:
            dropped += yield from invalidate_page(mapping, page)
            page_cache_release(page)
    return dropped


def vmtruncate(inode: Inode, size: int, truncate: Truncate) -> Steps[int]:
    """Make the file `size` bytes long (mm/memory.c); return 0 or -errno. The caller holds i_mutex."""
    if i_size_read(inode) < size:
        i_size_write(inode, size)
    else:
        i_size_write(inode, size)
        yield from truncate_inode_pages(inode.i_mapping, size)
    return (yield from truncate(inode))
