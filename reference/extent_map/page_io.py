# SPDX-License-Identifier: GPL-2.0-or-later
"""What the page half of fs/extent_map.c works on, and the small steps that its functions share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reference.extent_map.bits import GFP_NOFS
from reference.extent_map.objects import ExtentMap
from reference.extent_map.page_behaviour import PageBehaviour
from reference.extent_map.tree import ExtentMapTree
from reference.machine import BUG_ON, RwLock, Steps
from reference.page_cache.address_space import AddressSpace
from reference.page_cache.ext2 import Inode
from reference.page_cache.page import PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, Page, page_cache_get

__all__ = ["EXTENT_PAGE_PRIVATE", "ExtentIo", "GetExtent", "joined", "set_page_extent_mapped"]

EXTENT_PAGE_PRIVATE = 1
"""What `page->private` is while PG_private is set."""

GetExtent = Callable[["ExtentIo", int, int, bool], Steps[ExtentMap | int]]
"""`get_extent_t`: the first mapping of [start, end], with `create` one that has blocks; or -errno."""


class ExtentIo:
    """The tree of one file, its pages, and which of the posted defects are there.

    `page_lock` is the correction of `end_io_checks_unlocked`: a spinlock around clearing a bit and looking
    whether it was the page's last one, as end_buffer_async_read of the same kernel has in BH_Uptodate_Lock.
    """

    def __init__(
        self,
        tree: ExtentMapTree,
        mapping: AddressSpace,
        behaviour: PageBehaviour = PageBehaviour.corrected,
        bits_per_long: int = 64,
    ) -> None:
        self.tree = tree
        self.mapping = mapping
        self.behaviour = behaviour
        self.page_lock = RwLock("page io lock")
        self._offsets = (1 << (bits_per_long if behaviour.index_shifts_in_long else 64)) - 1

    @property
    def inode(self) -> Inode:
        """The file."""
        return self.mapping.host

    @property
    def blocksize(self) -> int:
        """`s_blocksize`, bytes."""
        return self.mapping.host.i_sb.s_blocksize

    def start_of(self, page: Page) -> int:
        """Return the page's first byte in the file (`page->index << PAGE_CACHE_SHIFT`)."""
        return (page.index << PAGE_CACHE_SHIFT) & self._offsets

    def lock_extent(self, start: int, end: int) -> Steps[int]:
        """`lock_extent(tree, start, end, GFP_NOFS)`; a Bug for a range that the C would put in inverted."""
        BUG_ON(start > end, f"lock_extent({start}, {end}) of a range that ends before it starts")
        return self.tree.lock_extent(start, end, GFP_NOFS)

    def unlock_extent(self, start: int, end: int) -> Steps[int]:
        """`unlock_extent(tree, start, end, GFP_NOFS)`."""
        return self.tree.unlock_extent(start, end, GFP_NOFS)


def set_page_extent_mapped(page: Page) -> None:
    """Set PG_private, with a reference, if it is not set: the page is to be released before it goes."""
    if not page.has_private:
        page.has_private = True
        page.private = EXTENT_PAGE_PRIVATE
        page_cache_get(page)


def joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ascending inclusive ranges with those put together that touch.

    >>> joined([(0, 3), (4, 7), (12, 15)])
    [(0, 7), (12, 15)]
    """
    result: list[tuple[int, int]] = []
    for start, end in ranges:
        if result and result[-1][1] + 1 == start:
            result[-1] = (result[-1][0], end)
        else:
            result.append((start, end))
    return result


def page_end(start: int) -> int:
    """Return the last byte of the page that begins at byte `start`."""
    return start + PAGE_CACHE_SIZE - 1
