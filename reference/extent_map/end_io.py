# SPDX-License-Identifier: GPL-2.0-or-later
"""Submitting a part of a page, and the three completions (fs/extent_map.c of both versions, July 2007).

Completions may not sleep: for the range of each bio there has to be a state of its own.
"""

from __future__ import annotations

import errno

from reference.extent_map.bits import GFP_ATOMIC
from reference.extent_map.page_checks import check_page_locked, check_page_uptodate, check_page_writeback
from reference.extent_map.page_io import ExtentIo
from reference.machine import PREEMPT, Steps
from reference.page_cache.address_space import mapping_set_error
from reference.page_cache.bio import SECTOR_SIZE, Bio, BioVec, EndIo, bio_get, bio_put
from reference.page_cache.page import PAGE_CACHE_SIZE, Page, end_page_writeback, unlock_page

__all__ = [
    "end_bio_extent_preparewrite",
    "end_bio_extent_readpage",
    "end_bio_extent_writepage",
    "finish_read",
    "finish_write",
    "submit_extent_page",
]


def submit_extent_page(
    io: ExtentIo, rw: int, page: Page, at: int, size: int, offset: int, end_io_func: EndIo
) -> Steps[int]:
    """Send a bio for `size` bytes of the page from `offset` on, to or from byte `at` of the disk."""
    bdev = io.inode.i_sb.s_bdev
    bio = Bio(bdev, at // SECTOR_SIZE, [BioVec(page, size, offset)], end_io_func, io)
    bio_get(bio)
    bdev.submit_bio(rw, bio)
    bio_put(bio)
    yield PREEMPT
    return 0


def end_bio_extent_writepage(bio: Bio, bytes_done: int, error: int) -> Steps[None]:
    """The range of each vector is written: end its writeback, and the page's if that was the last."""
    del bytes_done, error
    io = bio.bi_private
    assert isinstance(io, ExtentIo)
    for vec in reversed(bio.bi_io_vec):
        page = vec.bv_page
        start = io.start_of(page) + vec.bv_offset
        end = start + vec.bv_len - 1
        if not bio.uptodate:
            yield from _write_failed(io, page, start, end)
        yield from finish_write(io, page, start, end)
    bio_put(bio)


def end_bio_extent_readpage(bio: Bio, bytes_done: int, error: int) -> Steps[None]:
    """The range of each vector is read: unlock it, and the page if nothing else is under way."""
    del bytes_done, error
    io = bio.bi_private
    assert isinstance(io, ExtentIo)
    for vec in reversed(bio.bi_io_vec):
        start = io.start_of(vec.bv_page) + vec.bv_offset
        yield from finish_read(
            io, vec.bv_page, start, start + vec.bv_len - 1, read=True, uptodate=bio.uptodate
        )
    bio_put(bio)


def end_bio_extent_preparewrite(bio: Bio, bytes_done: int, error: int) -> Steps[None]:
    """The range of each vector is read for a writer, who has the page locked: unlock the range."""
    del bytes_done, error
    io = bio.bi_private
    assert isinstance(io, ExtentIo)
    for vec in reversed(bio.bi_io_vec):
        page = vec.bv_page
        start = io.start_of(page) + vec.bv_offset
        end = start + vec.bv_len - 1
        if bio.uptodate:
            yield from io.tree.set_extent_uptodate(start, end, GFP_ATOMIC)
        else:
            page.uptodate = False
            page.error = True
        yield from io.tree.unlock_extent(start, end, GFP_ATOMIC)
    bio_put(bio)


def finish_read(io: ExtentIo, page: Page, start: int, end: int, *, read: bool, uptodate: bool) -> Steps[None]:
    """Unlock [start, end] of the page, and the page if that was the last; `uptodate`: it has its data.

    `read` says whether a bio is done, or what is left when all bios are submitted.
    """
    yield from _locked(io, _finish_read(io, page, start, end, read, uptodate))


def _finish_read(io: ExtentIo, page: Page, start: int, end: int, read: bool, uptodate: bool) -> Steps[None]:
    whole_page = end - start + 1 == PAGE_CACHE_SIZE
    if uptodate:
        yield from io.tree.set_extent_uptodate(start, end, GFP_ATOMIC)
        if whole_page:
            page.uptodate = True
        else:
            yield from check_page_uptodate(io, page)
    elif read:
        page.uptodate = False
        page.error = True
    yield from io.tree.unlock_extent(start, end, GFP_ATOMIC)
    if whole_page:
        unlock_page(page)
    else:
        yield from check_page_locked(io, page)


def finish_write(io: ExtentIo, page: Page, start: int, end: int) -> Steps[None]:
    """End the writeback of [start, end] of the page, and of the page if that was the last."""
    yield from _locked(io, _finish_write(io, page, start, end))


def _finish_write(io: ExtentIo, page: Page, start: int, end: int) -> Steps[None]:
    yield from io.tree.clear_extent_writeback(start, end, GFP_ATOMIC)
    if end - start + 1 == PAGE_CACHE_SIZE:
        end_page_writeback(page)
    else:
        yield from check_page_writeback(io, page)


def _write_failed(io: ExtentIo, page: Page, start: int, end: int) -> Steps[None]:
    behaviour = io.behaviour
    page.error = True
    if behaviour.write_error_drops_data:
        yield from io.tree.clear_extent_uptodate(start, end, GFP_ATOMIC)
        page.uptodate = False
    if not behaviour.write_error_not_recorded:
        mapping_set_error(io.mapping, -errno.EIO)


def _locked(io: ExtentIo, section: Steps[None]) -> Steps[None]:
    if io.behaviour.end_io_checks_unlocked:
        yield from section
        return
    yield from io.page_lock.write_lock_irq()
    yield from section
    io.page_lock.write_unlock_irq()
