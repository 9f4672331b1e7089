# SPDX-License-Identifier: GPL-2.0-or-later
"""Getting a page ready for a write, and taking note of it (fs/extent_map.c of both versions, July 2007)."""

from __future__ import annotations

import errno

from reference.extent_map.bits import EXTENT_LOCKED, EXTENT_UPTODATE, GFP_NOFS
from reference.extent_map.end_io import end_bio_extent_preparewrite, submit_extent_page
from reference.extent_map.objects import ExtentMap
from reference.extent_map.page_checks import check_page_uptodate
from reference.extent_map.page_io import ExtentIo, GetExtent, joined, page_end, set_page_extent_mapped
from reference.extent_map.ranges import set_range_dirty
from reference.machine import Steps
from reference.page_cache.bio import READ
from reference.page_cache.ext2 import i_size_write
from reference.page_cache.page import PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, Page, zero_user_page
from reference.page_cache.writeback import set_page_dirty, set_page_dirty_nobuffers

__all__ = ["extent_commit_write", "extent_prepare_write"]


def extent_prepare_write(io: ExtentIo, page: Page, start: int, to: int, get_extent: GetExtent) -> Steps[int]:
    """Give blocks to bytes `start` to `to` (exclusive) of the locked page; read the rest of these blocks.

    Returns 0 or -errno.
    """
    set_page_extent_mapped(page)
    return (yield from _Prepare(io, page, start, to).steps(get_extent))


def extent_commit_write(io: ExtentIo, page: Page, start: int, to: int) -> Steps[int]:
    """Bytes `start` to `to` (exclusive) of the locked page were written to. Returns 0."""
    inode, behaviour = io.inode, io.behaviour
    set_page_extent_mapped(page)
    first = (io.start_of(page) + start) & ~(io.blocksize - 1)
    last = (io.start_of(page) + to - 1) | (io.blocksize - 1)
    if not behaviour.prepare_marks_uptodate_early:
        yield from io.tree.set_extent_uptodate(first, last, GFP_NOFS)
        yield from check_page_uptodate(io, page)
    if behaviour.write_asks_extent_dirty:
        yield from set_range_dirty(io, first, last)
    else:
        set_page_dirty(page)
    pos = (page.index << PAGE_CACHE_SHIFT) + to
    if pos > inode.i_size:
        i_size_write(inode, pos)
    return 0


class _Prepare:
    """One call: the C's local variables."""

    def __init__(self, io: ExtentIo, page: Page, start: int, to: int) -> None:
        self.io = io
        self.page = page
        self.start = start
        self.to = to
        self.page_start = io.start_of(page)
        self.block_start = self.first = (self.page_start + start) & ~(io.blocksize - 1)
        self.block_end = (self.page_start + to - 1) | (io.blocksize - 1)
        self.page_offset = 0 if io.behaviour.prepare_reads_to_page_start else self._offset(self.block_start)
        self.read: list[tuple[int, int]] = []
        """Ranges that a bio reads."""
        self.new: list[tuple[int, int]] = []
        """Ranges that have got blocks."""

    def steps(self, get_extent: GetExtent) -> Steps[int]:
        io, behaviour = self.io, self.io.behaviour
        if behaviour.prepare_locks_whole_page:
            yield from io.lock_extent(self.page_start, page_end(self.page_start))
        else:
            yield from io.lock_extent(self.first, self.block_end)
        error = 0
        while self.block_start <= self.block_end and not error:
            em = yield from get_extent(io, self.block_start, self.block_end, True)
            if isinstance(em, int):
                error = em
            else:
                yield from self._prepare_extent(em)
                io.tree.free_extent_map(em)
        if error and not behaviour.prepare_error_keeps_lock:
            yield from io.unlock_extent(self.block_start, self.block_end)
        if self.read and not (error and behaviour.prepare_error_keeps_lock):
            yield from io.tree.wait_extent_bit(self.first, self.block_end, EXTENT_LOCKED)
        if not error:
            error = yield from self._outcome()
        if error and not behaviour.prepare_error_leaves_new_blocks:
            yield from self._zero_new_blocks()
        return 0 if behaviour.prepare_returns_0_on_error and self.block_start <= self.block_end else error

    def _prepare_extent(self, em: ExtentMap) -> Steps[None]:
        """Handle the mapping's part of the range, or with the defects corrected its next block."""
        io, behaviour = self.io, self.io.behaviour
        cur_end = min(self.block_end, em.end)
        if not behaviour.prepare_block_end_wraps and not behaviour.prepare_looks_at_first_block:
            cur_end = min(cur_end, self.block_start + io.blocksize - 1)
        off_start = self._offset(self.block_start)
        off_end = off_start + io.blocksize
        if behaviour.prepare_block_end_wraps:
            off_end = self._offset(cur_end + 1)
        partial = off_end > self.to or off_start < self.start
        isnew = yield from io.tree.clear_extent_new(self.block_start, cur_end, GFP_NOFS)
        if isnew:
            self.new.append((self.block_start, cur_end))
        if isnew and not self.page.uptodate and partial:
            self._zero_around(off_start, off_end)
        wanted = partial and not isnew and not self.page.uptodate
        if wanted and not (
            yield from io.tree.test_range_bit(self.block_start, cur_end, EXTENT_UPTODATE, True)
        ):
            yield from self._read(em, cur_end)
        else:
            if behaviour.prepare_marks_uptodate_early:
                yield from io.tree.set_extent_uptodate(self.block_start, cur_end, GFP_NOFS)
            yield from io.unlock_extent(self.block_start, cur_end)
        self._advance(cur_end)

    def _advance(self, cur_end: int) -> None:
        if self.io.behaviour.prepare_adds_up_offsets:
            self.page_offset += cur_end + self.block_start - 1
        else:
            self.page_offset = self._offset(cur_end + 1)
        self.block_start = cur_end + 1

    def _zero_around(self, off_start: int, off_end: int) -> None:
        """Zero the new blocks from `off_start` to `off_end` but for what will be written."""
        if off_end > self.to:
            zero_user_page(self.page, self.to, off_end - self.to)
        if off_start < self.start:
            zero_user_page(self.page, off_start, self.start - off_start)

    def _read(self, em: ExtentMap, cur_end: int) -> Steps[None]:
        io = self.io
        iosize = -(-(cur_end - self.block_start + 1) // io.blocksize) * io.blocksize
        at = em.block_start + self.block_start - em.start
        # The completion needs a state of its own.
        yield from io.tree.set_extent_bit(self.block_start, cur_end, EXTENT_LOCKED, False, None, GFP_NOFS)
        yield from submit_extent_page(
            io, READ, self.page, at, iosize, self.page_offset, end_bio_extent_preparewrite
        )
        self.read.append((self.block_start, cur_end))

    def _outcome(self) -> Steps[int]:
        """Return -EIO if something could not be read."""
        io = self.io
        if io.behaviour.prepare_marks_uptodate_early:
            yield from check_page_uptodate(io, self.page)
        if not io.behaviour.prepare_ignores_read_errors:
            for start, end in self.read:
                if not (yield from io.tree.test_range_bit(start, end, EXTENT_UPTODATE, True)):
                    return -errno.EIO
        return 0

    def _zero_new_blocks(self) -> Steps[None]:
        """Make new blocks zeros, which the file had there: nothing will be written to them."""
        for start, end in joined(self.new):
            if not self.page.uptodate:
                zero_user_page(self.page, self._offset(start), end - start + 1)
                yield from self.io.tree.set_extent_uptodate(start, end, GFP_NOFS)
            set_page_dirty_nobuffers(self.page)

    def _offset(self, byte: int) -> int:
        return byte & (PAGE_CACHE_SIZE - 1)
