# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing a page back (`extent_write_full_page`, fs/extent_map.c of both versions, July 2007)."""

from __future__ import annotations

from reference.extent_map.bits import EXTENT_DIRTY, EXTENT_UPTODATE, GFP_NOFS
from reference.extent_map.end_io import end_bio_extent_writepage, finish_write, submit_extent_page
from reference.extent_map.objects import ExtentMap
from reference.extent_map.page_io import ExtentIo, GetExtent, joined, page_end, set_page_extent_mapped
from reference.extent_map.ranges import set_range_writeback
from reference.index import U64_MAX
from reference.machine import BUG_ON, Steps
from reference.page_cache.bio import WRITE
from reference.page_cache.ext2 import i_size_read
from reference.page_cache.page import (
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    Page,
    end_page_writeback,
    unlock_page,
    zero_user_page,
)

__all__ = ["extent_write_full_page"]


def extent_write_full_page(io: ExtentIo, page: Page, get_extent: GetExtent) -> Steps[int]:
    """Send the blocks of the locked page that may be dirty to disk, and unlock it.

    Returns 0, or the -errno of get_extent; then the blocks concerned are not written, and PG_error is set.
    """
    last_byte = i_size_read(io.inode)
    end_index = last_byte >> PAGE_CACHE_SHIFT
    offset = last_byte & (PAGE_CACHE_SIZE - 1)
    outside = page.index == end_index and not offset and not io.behaviour.write_locks_up_to_eof
    if page.index > end_index or outside:
        unlock_page(page)
        return 0
    if page.index == end_index:
        # A mapping can have written there; it is not part of the file.
        zero_user_page(page, offset, PAGE_CACHE_SIZE - offset)
    set_page_extent_mapped(page)
    return (yield from _Write(io, page, last_byte).steps(get_extent))


class _Write:
    """One call: the C's local variables."""

    def __init__(self, io: ExtentIo, page: Page, last_byte: int) -> None:
        self.io = io
        self.page = page
        self.start = io.start_of(page)
        self.page_end = page_end(self.start)
        self.end = min(self.page_end, (last_byte - 1) & U64_MAX)
        self.lock_end = self.end if io.behaviour.write_locks_up_to_eof else self.page_end
        self.last_byte = last_byte
        self.sent: list[tuple[int, int]] = []
        """Ranges that have a bio."""
        self.error = 0

    def steps(self, get_extent: GetExtent) -> Steps[int]:
        io, behaviour = self.io, self.io.behaviour
        yield from io.lock_extent(self.start, self.lock_end)
        early = not behaviour.write_sets_writeback_late and not behaviour.write_sets_writeback_by_block
        if early:
            # All of it until all bios are sent: none that is fast can end the page's writeback.
            yield from set_range_writeback(io, self.start, self.page_end)
        if self.last_byte > self.start:
            if behaviour.write_marks_all_uptodate:
                yield from io.tree.set_extent_uptodate(self.start, self.lock_end, GFP_NOFS)
            yield from self._write_blocks(get_extent)
        if behaviour.write_sets_writeback_late:
            yield from self._set_writeback()
        elif early:
            yield from self._end_writeback_of_rest()
        yield from io.unlock_extent(self.start, self.lock_end)
        unlock_page(self.page)
        if behaviour.write_sets_writeback_late and not self.sent:
            yield from io.tree.clear_extent_writeback(self.start, self.end, GFP_NOFS)
            end_page_writeback(self.page)
        return 0 if behaviour.write_swallows_errors else self.error

    def _write_blocks(self, get_extent: GetExtent) -> Steps[None]:
        cur = self.start
        while cur <= self.end:
            if not (yield from self._may_be_dirty(cur)):
                cur += self.io.blocksize
                continue
            em = yield from get_extent(self.io, cur, self.end, not self.io.behaviour.write_does_not_allocate)
            if isinstance(em, int):
                self.page.error = True
                self.error = em
                if self.io.behaviour.write_swallows_errors:
                    return
                cur += self.io.blocksize
                continue
            BUG_ON(em.end < cur, "em->end < cur")
            iosize = self._iosize(em, cur)
            at = em.block_start + cur - em.start
            hole = em.block_start == 0
            self.io.tree.free_extent_map(em)
            yield from self._write_extent(cur, iosize, at, hole)
            cur += iosize

    def _may_be_dirty(self, cur: int) -> Steps[bool]:
        """A block of which the page has no data cannot be dirty."""
        behaviour = self.io.behaviour
        if (
            behaviour.write_writes_blocks_never_read
            or behaviour.write_asks_extent_dirty
            or self.page.uptodate
        ):
            return True
        last = cur + self.io.blocksize - 1
        return bool((yield from self.io.tree.test_range_bit(cur, last, EXTENT_UPTODATE, True)))

    def _iosize(self, em: ExtentMap, cur: int) -> int:
        blocksize, behaviour = self.io.blocksize, self.io.behaviour
        whole_mapping = behaviour.write_writes_blocks_never_read or behaviour.write_asks_extent_dirty
        if not self.page.uptodate and not whole_mapping:
            return blocksize
        return -(-(min(em.end - cur, self.end - cur) + 1) // blocksize) * blocksize

    def _write_extent(self, cur: int, iosize: int, at: int, hole: bool) -> Steps[None]:
        io, behaviour, last = self.io, self.io.behaviour, cur + iosize - 1
        if hole:
            if behaviour.write_asks_extent_dirty:
                yield from io.unlock_extent(cur, last)
            else:
                yield from io.tree.clear_extent_dirty(cur, last, GFP_NOFS)
            return
        if behaviour.write_asks_extent_dirty and not (
            yield from io.tree.test_range_bit(cur, last, EXTENT_DIRTY, False)
        ):
            yield from io.unlock_extent(cur, last)
            return
        yield from io.tree.clear_extent_dirty(cur, last, GFP_NOFS)
        if not behaviour.write_leaves_extent_new:
            yield from io.tree.clear_extent_new(cur, last, GFP_NOFS)
        if not behaviour.write_sets_writeback_late:
            # Also where it is set: the completion needs a state of its own.
            yield from set_range_writeback(io, cur, last)
        offset = cur - self.start
        yield from submit_extent_page(io, WRITE, self.page, at, iosize, offset, end_bio_extent_writepage)
        self.sent.append((cur, last))

    def _set_writeback(self) -> Steps[None]:
        """What the first version does when the bios are gone."""
        ranges = [(self.start, self.end)] if self.io.behaviour.write_sets_writeback_everywhere else self.sent
        for start, end in ranges or [(self.start, self.end)]:
            yield from set_range_writeback(self.io, start, end)

    def _end_writeback_of_rest(self) -> Steps[None]:
        """End the writeback of what has no bio."""
        if self.io.behaviour.write_sets_writeback_everywhere and self.sent:
            return
        at = self.start
        for start, end in [*joined(self.sent), (self.page_end + 1, self.page_end)]:
            if at < start:
                yield from finish_write(self.io, self.page, at, start - 1)
            at = end + 1
