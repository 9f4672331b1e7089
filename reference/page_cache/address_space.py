# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages of one file (`struct address_space`), and finding them (mm/filemap.c, Linux 2.6.22)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from reference.machine import BUG_ON, PREEMPT, Slab, Steps
from reference.page_cache.page import Page, lock_page, page_cache_get, page_cache_release, unlock_page

if TYPE_CHECKING:
    from reference.page_cache.ext2 import Inode

__all__ = [
    "AddressSpace",
    "AddressSpaceOperations",
    "add_to_page_cache",
    "find_get_page",
    "find_lock_page",
    "grab_cache_page",
    "mapping_set_error",
    "remove_from_page_cache",
]


class AddressSpaceOperations(Protocol):
    """`struct address_space_operations`: what a file system does with the pages of a file."""

    def readpage(self, page: Page) -> Steps[int]:
        """Start to read the locked page, which is unlocked when that is done."""

    def writepage(self, page: Page) -> Steps[int]:
        """Start to write the locked page, and unlock it."""

    def prepare_write(self, page: Page, start: int, to: int) -> Steps[int]:
        """Get the locked page ready for bytes `start` to `to` (exclusive) to be overwritten."""

    def commit_write(self, page: Page, start: int, to: int) -> Steps[int]:
        """Take note that they were."""

    def set_page_dirty(self, page: Page) -> None:
        """Mark the page dirty, its contents having been changed as a whole."""

    def invalidatepage(self, page: Page, offset: int) -> Steps[None]:
        """Forget what is known of the locked page from `offset` on."""

    def releasepage(self, page: Page) -> Steps[int]:
        """Give up `page.private`, if possible: return 1 if it was."""


class AddressSpace:
    """`struct address_space`: the cached pages of the file `host`, by index.

    `error` is what AS_EIO and AS_ENOSPC say: -errno of a write that failed since the last fsync, or 0.
    """

    def __init__(self, host: Inode, slab: Slab) -> None:
        self.host = host
        self.slab = slab
        self.pages: dict[int, Page] = {}
        self.error = 0
        self.a_ops: AddressSpaceOperations

    def __len__(self) -> int:
        """`nrpages`."""
        return len(self.pages)


def mapping_set_error(mapping: AddressSpace, error: int) -> None:
    """Remember `error` (-errno) for the next fsync: set AS_EIO or AS_ENOSPC (include/linux/pagemap.h)."""
    mapping.error = mapping.error or error


def find_get_page(mapping: AddressSpace, index: int) -> Page | None:
    """Return the page at `index` with a reference, or None (mm/filemap.c)."""
    page = mapping.pages.get(index)
    if page is not None:
        page_cache_get(page)
    return page


def find_lock_page(mapping: AddressSpace, index: int) -> Steps[Page | None]:
    """Return the page at `index`, locked and with a reference, or None (mm/filemap.c)."""
    while True:
        yield PREEMPT
        page = find_get_page(mapping, index)
        if page is None:
            return None
        yield from lock_page(page)
        if page.mapping is mapping:
            return page
        # Truncated while we slept.
        unlock_page(page)
        page_cache_release(page)


def grab_cache_page(mapping: AddressSpace, index: int) -> Steps[Page]:
    """Return the page at `index`, made if need be, locked and with a reference (mm/filemap.c)."""
    while True:
        page = yield from find_lock_page(mapping, index)
        if page is not None:
            return page
        page = Page(mapping.slab, index)
        if add_to_page_cache(page, mapping):
            return page
        page_cache_release(page)


def add_to_page_cache(page: Page, mapping: AddressSpace) -> bool:
    """Add the new page, locked; False if there is one at its index (mm/filemap.c)."""
    if page.index in mapping.pages:
        return False
    mapping.pages[page.index] = page
    page.mapping = mapping
    page.locked = True
    page_cache_get(page)
    return True


def remove_from_page_cache(page: Page) -> None:
    """Take the locked page out of its mapping, whose reference the caller gets (mm/filemap.c)."""
    BUG_ON(not page.locked, "!PageLocked(page)")
    BUG_ON(page.mapping is None, "page->mapping")
    assert page.mapping is not None
    del page.mapping.pages[page.index]
    page.mapping = None
