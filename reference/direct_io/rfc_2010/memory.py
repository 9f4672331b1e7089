# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages: those of the user, which may be missing, and temporary ones of the kernel."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from reference.machine import Slab, SlabObject, UseAfterFree

__all__ = ["PAGE_SIZE", "UNTOUCHED", "Page", "UserMemory", "get_page", "page_cache_release"]

PAGE_SIZE = 4096
PAGE_SHIFT = 12
UNTOUCHED = 0xA5
"""What memory has that nobody wrote to."""


class Page(SlabObject):
    """`struct page` with its data."""

    __slots__ = ("compound", "count", "data", "dirty", "slab")

    def __init__(self, slab: Slab, *, compound: bool = False) -> None:
        self.data = bytearray([UNTOUCHED]) * PAGE_SIZE
        self.count = 1
        self.dirty = False
        self.compound = compound
        """Part of a huge page, which is not to be dirtied (`PageCompound`)."""
        self.slab = slab
        slab.born(self)

    def __repr__(self) -> str:
        return f"a page with {self.count} references"


def get_page(page: Page) -> None:
    """Take a reference (include/linux/mm.h)."""
    page.slab.check(page)
    page.count += 1


def page_cache_release(page: Page) -> None:
    """Drop a reference; the last one frees the page (`put_page`, mm/swap.c)."""
    page.slab.check(page)
    page.count -= 1
    if page.count == 0:
        page.slab.died(page)


class UserMemory:
    """The pages that are mapped in the address space of who reads; each has the mapping's reference."""

    def __init__(self, numbers: Iterable[int], *, compound: bool = False) -> None:
        self.slab = Slab("user page")
        self.pages = {number: Page(self.slab, compound=compound) for number in numbers}

    def get_user_pages_fast(self, addr: int, nr_pages: int) -> list[Page] | int:
        """Pin up to `nr_pages` pages from `addr` on, up to the first that is not there (mm/gup.c).

        -EFAULT if that is the first.
        """
        first = addr >> PAGE_SHIFT
        pages = []
        for number in range(first, first + nr_pages):
            page = self.pages.get(number)
            if page is None:
                break
            get_page(page)
            pages.append(page)
        return pages or -errno.EFAULT

    def check_released(self) -> None:
        """Raise AssertionError unless each page has the mapping's reference and no other."""
        for number, page in self.pages.items():
            if not page.alive:
                raise UseAfterFree(f"user page {number:#x} was freed under its mapping")
            assert page.count == 1, f"user page {number:#x} is left with {page.count - 1} references"
