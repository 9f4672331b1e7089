# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages of the page cache: flags, private, references, contents (`struct page` of Linux 2.6.22)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference.machine import BUG_ON, PREEMPT, Slab, SlabObject, Steps, WaitQueue, note

if TYPE_CHECKING:
    from reference.page_cache.address_space import AddressSpace
    from reference.page_cache.buffers import BufferHeads

__all__ = [
    "NEVER_WRITTEN",
    "PAGE_CACHE_SHIFT",
    "PAGE_CACHE_SIZE",
    "Page",
    "end_page_writeback",
    "lock_page",
    "page_cache_get",
    "page_cache_release",
    "set_page_writeback",
    "unlock_page",
    "wait_on_page_locked",
    "wait_on_page_writeback",
    "zero_user_page",
]

PAGE_CACHE_SHIFT = 12
PAGE_CACHE_SIZE = 1 << PAGE_CACHE_SHIFT
"""Bytes of a page."""

NEVER_WRITTEN = 0xA5
"""What each byte of a page has that the allocator has just given out: what was in that memory before."""

_FRESH = bytes([NEVER_WRITTEN]) * PAGE_CACHE_SIZE


class Page(SlabObject):
    """`struct page`: one page of a file. The flags are `PG_locked`, `PG_uptodate` and so on.

    `private` is what `page_private()` returns: 0, 1 (what the extent code puts there, no pointer) or the
    buffer heads. `count` is `_count`: one reference for the page cache, one while PG_private is set, and the
    users'.
    """

    __slots__ = (
        "count",
        "data",
        "dirty",
        "error",
        "has_private",
        "index",
        "locked",
        "locked_wq",
        "mapping",
        "private",
        "slab",
        "tagged_dirty",
        "uptodate",
        "writeback",
        "writeback_wq",
    )

    def __init__(self, slab: Slab, index: int) -> None:
        self.slab = slab
        self.index = index
        self.mapping: AddressSpace | None = None
        self.data = bytearray(_FRESH)
        self.count = 1
        self.locked = False
        self.uptodate = False
        self.dirty = False
        self.tagged_dirty = False
        """PAGECACHE_TAG_DIRTY, by which dirty pages are found; it stays until writeback begins."""
        self.writeback = False
        self.error = False
        self.has_private = False
        self.private: int | BufferHeads = 0
        # The kernel hashes (page, bit) to a queue and wakes only those who wait for that very bit.
        self.locked_wq = WaitQueue("PG_locked")
        self.writeback_wq = WaitQueue("PG_writeback")
        slab.born(self)

    def __repr__(self) -> str:
        flags = ("locked", "uptodate", "dirty", "writeback", "error", "has_private")
        names = " ".join(flag for flag in flags if getattr(self, flag))
        return f"page {self.index} ({names or 'no flags'}, count {self.count})"

    def is_uptodate(self) -> bool:
        """`PageUptodate`, which others may change at any time."""
        return self.uptodate

    def is_unlocked(self) -> bool:
        """The opposite, as a condition to wait for."""
        return not self.locked

    def is_not_under_writeback(self) -> bool:
        """The opposite of `PageWriteback`, as a condition to wait for."""
        return not self.writeback


def page_cache_get(page: Page) -> None:
    """Take a reference (include/linux/pagemap.h)."""
    page.slab.check(page)
    page.count += 1


def page_cache_release(page: Page) -> None:
    """Drop a reference; the last one frees the page (include/linux/pagemap.h)."""
    page.slab.check(page)
    page.count -= 1
    if page.count == 0:
        BUG_ON(page.locked, "bad_page: PG_locked")
        BUG_ON(page.has_private, "bad_page: PG_private")
        page.slab.died(page)


def lock_page(page: Page) -> Steps[None]:
    """Set PG_locked, sleeping until it is free (mm/filemap.c)."""
    yield PREEMPT
    page.slab.check(page)
    while page.locked:
        waiter = page.locked_wq.prepare_to_wait(exclusive=True)
        if page.locked:
            yield from waiter.schedule(until=page.is_unlocked)
        page.locked_wq.finish_wait(waiter)
    page.locked = True
    note(f"lock_page({page.index})")


def unlock_page(page: Page) -> None:
    """Clear PG_locked and wake (mm/filemap.c); a Bug if it is not set."""
    page.slab.check(page)
    BUG_ON(not page.locked, "unlock_page: !TestClearPageLocked(page)")
    page.locked = False
    note(f"unlock_page({page.index})")
    if page.locked_wq.waiters:
        page.locked_wq.wake_up()


def wait_on_page_locked(page: Page) -> Steps[None]:
    """Sleep until PG_locked is clear (include/linux/pagemap.h)."""
    yield PREEMPT
    if page.locked:
        yield from page.locked_wq.wait_event(page.is_unlocked)


def set_page_writeback(page: Page) -> None:
    """Set PG_writeback (`test_set_page_writeback`, mm/page-writeback.c)."""
    page.writeback = True
    if not page.dirty:
        page.tagged_dirty = False
    note(f"set_page_writeback({page.index})")


def end_page_writeback(page: Page) -> None:
    """Clear PG_writeback and wake (mm/filemap.c); a Bug if it is not set."""
    page.slab.check(page)
    BUG_ON(not page.writeback, "end_page_writeback: !test_clear_page_writeback(page)")
    page.writeback = False
    note(f"end_page_writeback({page.index})")
    if page.writeback_wq.waiters:
        page.writeback_wq.wake_up()


def wait_on_page_writeback(page: Page) -> Steps[None]:
    """Sleep until PG_writeback is clear (include/linux/pagemap.h)."""
    yield PREEMPT
    if page.writeback:
        yield from page.writeback_wq.wait_event(page.is_not_under_writeback)


def zero_user_page(page: Page, offset: int, size: int) -> None:
    """Zero `size` bytes from `offset` on (include/linux/highmem.h); a Bug beyond the page's end."""
    BUG_ON(offset + size > PAGE_CACHE_SIZE, "offset + size > PAGE_SIZE")
    page.data[offset : offset + size] = bytes(size)
