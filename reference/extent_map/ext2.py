# SPDX-License-Identifier: GPL-2.0-or-later
"""ext2 as the user of the extent code, mounted with -o extentmap (fs/ext2/inode.c, July 2007)."""

from __future__ import annotations

import errno

from reference.extent_map.bits import GFP_NOFS
from reference.extent_map.objects import ExtentMap
from reference.extent_map.page_checks import check_page_uptodate
from reference.extent_map.page_io import EXTENT_PAGE_PRIVATE, ExtentIo, page_end
from reference.extent_map.prepare import extent_commit_write, extent_prepare_write
from reference.extent_map.read import extent_read_full_page
from reference.extent_map.release import drop_mappings, extent_invalidatepage, try_release_extent_mapping
from reference.extent_map.write import extent_write_full_page
from reference.index import U64_MAX
from reference.machine import Bug, Steps
from reference.page_cache.address_space import grab_cache_page
from reference.page_cache.buffers import block_truncate_page, set_page_dirty_buffers, try_to_free_buffers
from reference.page_cache.ext2 import BufferHead, Inode, ext2_get_block, i_size_read
from reference.page_cache.page import (
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    Page,
    page_cache_release,
    unlock_page,
    zero_user_page,
)
from reference.page_cache.writeback import set_page_dirty, set_page_dirty_nobuffers

__all__ = ["Ext2ExtentMapOperations", "ext2_get_extent"]


def ext2_get_extent(io: ExtentIo, start: int, end: int, create: bool) -> Steps[ExtentMap | int]:
    """Return the mapping of byte `start` (of a block's beginning), with a reference; or -errno.

    One that is not cached is made, for one block, and cached; with `create` the block is allocated, and
    marked EXTENT_NEW. `end` is the last byte of interest.
    """
    behaviour = io.behaviour
    bh = BufferHead(io.blocksize)
    max_end = U64_MAX
    while True:
        cached = yield from _cached_mapping(io, start, end, create)
        if cached is not None:
            return cached
        em = yield from _new_mapping(io, start, bh, max_end, create)
        if isinstance(em, int):
            return em
        bh_end = em.end
        ret = yield from io.tree.add_extent_mapping(em)
        if ret != -errno.EEXIST:
            break
        if not behaviour.get_extent_leaks_on_race:
            io.tree.free_extent_map(em)
        max_end = end
    if ret:
        io.tree.free_extent_map(em)
        return ret
    if bh.new:
        yield from io.tree.set_extent_new(
            start, end if behaviour.get_extent_marks_request_new else bh_end, GFP_NOFS
        )
    return em


def _cached_mapping(io: ExtentIo, start: int, end: int, create: bool) -> Steps[ExtentMap | None]:
    em = yield from io.tree.lookup_extent_mapping(start, end)
    if em is None:
        return None
    if em.start > start and not io.behaviour.get_extent_takes_later:
        io.tree.free_extent_map(em)
        return None
    hole = em.block_start == 0
    if create and hole and not io.behaviour.get_extent_takes_holes:
        if (yield from io.tree.remove_extent_mapping(em)) == 0:
            io.tree.free_extent_map(em)
        io.tree.free_extent_map(em)
        return None
    return em


def _new_mapping(
    io: ExtentIo, start: int, bh: BufferHead, max_end: int, create: bool
) -> Steps[ExtentMap | int]:
    """Look the block up unless `bh` has it, and return a mapping for it, or -errno."""
    # Allocated first: without memory for it, a new block would be the file's and hold what the disk had.
    em = yield from io.tree.alloc_extent_map(GFP_NOFS)
    if em is None:
        if io.behaviour.get_extent_without_memory:
            raise Bug("NULL pointer dereference: em->start in ext2_get_extent")
        return -errno.ENOMEM
    if not bh.mapped:
        ret = ext2_get_block(io.inode, start >> io.inode.i_blkbits, bh, create)
        if ret:
            io.tree.free_extent_map(em)
            return ret
    room = max_end - start if io.behaviour.get_extent_retry_is_short else max_end - start + 1
    length = min(io.blocksize, room)
    em.start = start
    em.end = start + length - 1
    em.bdev = io.inode.i_sb.s_bdev
    em.block_start = em.block_end = 0
    if bh.mapped:
        em.block_start = bh.b_blocknr << io.inode.i_blkbits
        em.block_end = em.block_start + length - 1
    return em


class Ext2ExtentMapOperations:
    """`ext2_extent_map_aops`, and `i_op->truncate`."""

    def __init__(self, io: ExtentIo) -> None:
        self.io = io

    def readpage(self, page: Page) -> Steps[int]:
        """`ext2_extent_map_readpage`."""
        return extent_read_full_page(self.io, page, ext2_get_extent)

    def writepage(self, page: Page) -> Steps[int]:
        """`ext2_extent_map_writepage`."""
        return extent_write_full_page(self.io, page, ext2_get_extent)

    def prepare_write(self, page: Page, start: int, to: int) -> Steps[int]:
        """`ext2_extent_map_prepare_write`."""
        return extent_prepare_write(self.io, page, start, to, ext2_get_extent)

    def commit_write(self, page: Page, start: int, to: int) -> Steps[int]:
        """`ext2_extent_map_commit_write`."""
        return extent_commit_write(self.io, page, start, to)

    def set_page_dirty(self, page: Page) -> None:
        """`__set_page_dirty_nobuffers`; where there is no such member, `__set_page_dirty_buffers`."""
        if self.io.behaviour.dirties_as_buffers:
            set_page_dirty_buffers(page)
        else:
            set_page_dirty_nobuffers(page)

    def releasepage(self, page: Page) -> Steps[int]:
        """`ext2_extent_map_releasepage`: 1 if the page may go."""
        if page.private != EXTENT_PAGE_PRIVATE:
            return try_to_free_buffers(page)
        if not (yield from try_release_extent_mapping(self.io, page)):
            return 0
        page.has_private = False
        page.private = 0
        page_cache_release(page)
        return 1

    def invalidatepage(self, page: Page, offset: int) -> Steps[None]:
        """`ext2_extent_map_invalidatepage`."""
        io = self.io
        yield from extent_invalidatepage(io, page, offset)
        if offset == 0 or io.behaviour.partial_invalidate_releases:
            yield from self.releasepage(page)
            return
        # The blocks behind the new end of the file are about to be freed.
        start = io.start_of(page)
        yield from drop_mappings(io, -(-(start + offset) // io.blocksize) * io.blocksize, page_end(start))

    def truncate(self, inode: Inode) -> Steps[int]:
        """`ext2_truncate`: zero the rest of the last block, free those behind it. ext2 tells no errors."""
        behaviour = self.io.behaviour
        if behaviour.truncates_as_buffers:
            ret = yield from block_truncate_page(inode.i_mapping, i_size_read(inode))
        else:
            ret = yield from self._truncate_page(i_size_read(inode))
        inode.truncate_blocks()
        return ret

    def _truncate_page(self, size: int) -> Steps[int]:
        """Zero the block that the file ends in from there on (`nobh_truncate_page`, fs/buffer.c)."""
        io = self.io
        offset = size & (PAGE_CACHE_SIZE - 1)
        if offset % io.blocksize == 0:
            return 0
        page = yield from grab_cache_page(io.mapping, size >> PAGE_CACHE_SHIFT)
        to = (offset + io.blocksize) & ~(io.blocksize - 1)
        ret = yield from self.prepare_write(page, offset, to)
        if ret == 0:
            zero_user_page(page, offset, PAGE_CACHE_SIZE - offset)
            if io.behaviour.truncate_marks_page_uptodate:
                page.uptodate = True
            elif not io.behaviour.prepare_marks_uptodate_early:
                start = io.start_of(page)
                block = start + offset - offset % io.blocksize
                yield from io.tree.set_extent_uptodate(block, start + to - 1, GFP_NOFS)
                yield from check_page_uptodate(io, page)
            set_page_dirty(page)
        unlock_page(page)
        page_cache_release(page)
        return ret
