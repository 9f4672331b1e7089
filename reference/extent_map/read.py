# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a page (`extent_read_full_page`, fs/extent_map.c of both versions, July 2007)."""

from __future__ import annotations

from reference.extent_map.bits import EXTENT_LOCKED, EXTENT_UPTODATE, GFP_NOFS
from reference.extent_map.end_io import end_bio_extent_readpage, finish_read, submit_extent_page
from reference.extent_map.objects import ExtentMap
from reference.extent_map.page_io import ExtentIo, GetExtent, joined, page_end, set_page_extent_mapped
from reference.index import U64_MAX
from reference.machine import BUG_ON, Steps
from reference.page_cache.bio import READ
from reference.page_cache.ext2 import i_size_read
from reference.page_cache.page import PAGE_CACHE_SIZE, Page, unlock_page, zero_user_page

__all__ = ["extent_read_full_page"]


def extent_read_full_page(io: ExtentIo, page: Page, get_extent: GetExtent) -> Steps[int]:
    """Read what the locked page lacks; the last completion, or else this, unlocks it. Returns 0."""
    return (yield from _Read(io, page).steps(get_extent))


class _Read:
    """One call: the C's local variables."""

    def __init__(self, io: ExtentIo, page: Page) -> None:
        self.io = io
        self.page = page
        self.start = io.start_of(page)
        self.page_end = page_end(self.start)
        self.last_byte = i_size_read(io.inode)
        self.data_end = min(self.page_end, (self.last_byte - 1) & U64_MAX) | (io.blocksize - 1)
        """The last byte of the blocks that are in the file, at most of the page."""
        self.end = self._lock_end()
        self.nr = 0
        """Bios sent."""
        self.rest: list[tuple[int, int]] = []
        """What is up to date without a bio; it keeps the page locked until all bios are sent."""

    def steps(self, get_extent: GetExtent) -> Steps[int]:
        behaviour = self.io.behaviour
        set_page_extent_mapped(self.page)
        yield from self.io.lock_extent(self.start, self.end)
        if not behaviour.read_zeroes_after_submitting:
            self._zero_past_eof()
        failed_at = None
        if self.last_byte > self.start:
            failed_at = yield from self._read_blocks(get_extent)
        if behaviour.read_zeroes_after_submitting:
            self._zero_past_eof()
        if self.nr == 0 and behaviour.read_unlocks_without_check:
            yield from self._nothing_to_wait_for()
        else:
            yield from self._finish(failed_at)
        return 0

    def _lock_end(self) -> int:
        behaviour = self.io.behaviour
        if self.last_byte <= self.start:
            return self.data_end if behaviour.read_locks_inverted_range else self.page_end
        return self.data_end if behaviour.read_ignores_blocks_past_eof else self.page_end

    def _zero_past_eof(self) -> None:
        if self.io.behaviour.read_zeroes_by_offset_of_eof:
            if (self.last_byte - 1) & U64_MAX < self.page_end:
                self._zero_from(self.last_byte & (PAGE_CACHE_SIZE - 1))
        elif self.last_byte <= self.page_end:
            self._zero_from(max(0, self.last_byte - self.start))

    def _zero_from(self, offset: int) -> None:
        zero_user_page(self.page, offset, PAGE_CACHE_SIZE - offset)

    def _read_blocks(self, get_extent: GetExtent) -> Steps[int | None]:
        """Send bios for what is to be read. Returns where get_extent failed, or None."""
        cur = self.start
        end = min(self.end, self.data_end)
        while cur <= end:
            em = yield from get_extent(self.io, cur, end, False)
            if isinstance(em, int):
                self.page.error = True
                return cur
            BUG_ON(em.end < cur, "em->end < cur")
            iosize = self._iosize(em, cur, end)
            at = em.block_start + cur - em.start
            hole = em.block_start == 0
            self.io.tree.free_extent_map(em)
            yield from self._read_extent(cur, iosize, at, hole)
            cur += iosize
        return None

    def _iosize(self, em: ExtentMap, cur: int, end: int) -> int:
        blocksize = self.io.blocksize
        if not self.io.behaviour.read_rereads_dirty_blocks:
            # Block by block: others of the mapping may have data that the disk has not.
            return blocksize
        return -(-(min(em.end - cur, end - cur) + 1) // blocksize) * blocksize

    def _read_extent(self, cur: int, iosize: int, at: int, hole: bool) -> Steps[None]:
        io, offset, last = self.io, cur - self.start, cur + iosize - 1
        if hole:
            zero_user_page(self.page, offset, iosize)
            yield from io.tree.set_extent_uptodate(cur, last, GFP_NOFS)
            yield from self._needs_no_bio(cur, last)
            return
        if (yield from io.tree.test_range_bit(cur, last, EXTENT_UPTODATE, True)):
            yield from self._needs_no_bio(cur, last)
            return
        if not io.behaviour.read_does_not_split_lock:
            yield from io.tree.set_extent_bit(cur, last, EXTENT_LOCKED, False, None, GFP_NOFS)
        yield from submit_extent_page(io, READ, self.page, at, iosize, offset, end_bio_extent_readpage)
        self.nr += 1

    def _needs_no_bio(self, cur: int, last: int) -> Steps[None]:
        if self.io.behaviour.read_unlocks_without_check:
            yield from self.io.unlock_extent(cur, last)
        else:
            self.rest.append((cur, last))

    def _nothing_to_wait_for(self) -> Steps[None]:
        """No bio was sent (`if (!nr)`)."""
        if not self.page.error:
            self.page.uptodate = True
        yield from self.io.unlock_extent(self.start, self.end)
        unlock_page(self.page)

    def _finish(self, failed_at: int | None) -> Steps[None]:
        """Unlock what no bio will: the rest, what is past the file's end, and where get_extent failed."""
        unread = None if failed_at is None else (failed_at, self.data_end)
        past_eof = max(self.data_end + 1 if self.last_byte > self.start else self.start, self.start)
        if past_eof <= self.end:
            self.rest.append((past_eof, self.end))
        for start, end in joined(self.rest):
            yield from finish_read(self.io, self.page, start, end, read=False, uptodate=True)
        if unread and not (self.nr and self.io.behaviour.read_error_keeps_lock):
            yield from finish_read(self.io, self.page, *unread, read=False, uptodate=False)
