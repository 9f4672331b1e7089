# SPDX-License-Identifier: GPL-2.0-or-later
"""The little of buffer heads that the first version's ext2 runs into (fs/buffer.c, Linux 2.6.22)."""

from __future__ import annotations

import errno

from reference.machine import BUG_ON, Bug, Steps, WaitQueue
from reference.page_cache.address_space import AddressSpace, grab_cache_page
from reference.page_cache.bio import READ, SECTOR_SIZE, Bio, BioVec, bio_put
from reference.page_cache.ext2 import BufferHead, Inode, ext2_get_block
from reference.page_cache.page import (
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    Page,
    page_cache_get,
    page_cache_release,
    unlock_page,
    zero_user_page,
)
from reference.page_cache.writeback import set_page_dirty_nobuffers

__all__ = [
    "BufferHeads",
    "block_truncate_page",
    "page_buffers",
    "set_page_dirty_buffers",
    "try_to_free_buffers",
]


class BufferHeads:
    """The ring of buffer heads of one page: which of its blocks are up to date, and which are dirty."""

    def __init__(self) -> None:
        self.uptodate: set[int] = set()
        self.dirty: set[int] = set()


def page_buffers(page: Page) -> BufferHeads:
    """Follow the pointer in `page.private` (include/linux/buffer_head.h); 1 is none, and that is an oops."""
    if isinstance(page.private, int):
        raise Bug(
            f"oops in page_buffers: page->private of page {page.index} is {page.private}, no buffer head"
        )
    return page.private


def create_empty_buffers(page: Page) -> None:
    """Give the page buffer heads (fs/buffer.c)."""
    page.has_private = True
    page.private = BufferHeads()
    page_cache_get(page)


def set_page_dirty_buffers(page: Page) -> None:
    """Make the page and all its buffers dirty (`__set_page_dirty_buffers`, fs/buffer.c)."""
    if page.has_private:
        buffers = page_buffers(page)
        assert page.mapping is not None
        buffers.dirty.update(range(PAGE_CACHE_SIZE >> page.mapping.host.i_blkbits))
    set_page_dirty_nobuffers(page)


def try_to_free_buffers(page: Page) -> int:
    """Take the buffer heads away unless one is dirty; 1 if it was done (fs/buffer.c)."""
    BUG_ON(not page.locked, "!PageLocked(page)")
    if page.writeback or page_buffers(page).dirty:
        return 0
    page.has_private = False
    page.private = 0
    page_cache_release(page)
    return 1


def block_truncate_page(mapping: AddressSpace, start: int) -> Steps[int]:
    """Zero the block that byte `start` is in, from there on (fs/buffer.c); 0 or -errno."""
    inode = mapping.host
    size = inode.i_sb.s_blocksize
    offset = start & (PAGE_CACHE_SIZE - 1)
    if not start & (size - 1):
        return 0
    page = yield from grab_cache_page(mapping, start >> PAGE_CACHE_SHIFT)
    if not page.has_private:
        create_empty_buffers(page)
    ret = yield from _zero_end_of_block(inode, page, offset)
    unlock_page(page)
    page_cache_release(page)
    return ret


def _zero_end_of_block(inode: Inode, page: Page, offset: int) -> Steps[int]:
    buffers = page_buffers(page)
    size = inode.i_sb.s_blocksize
    block = offset // size
    bh = BufferHead(size)
    ret = ext2_get_block(inode, page.index * (PAGE_CACHE_SIZE // size) + block, bh, create=False)
    if ret or not bh.mapped:
        return ret
    if page.uptodate:
        buffers.uptodate.add(block)
    if block not in buffers.uptodate:
        read = yield from _read_block(inode, page, block, bh.b_blocknr)
        if not read:
            return -errno.EIO
        buffers.uptodate.add(block)
    zero_user_page(page, offset, (block + 1) * size - offset)
    # mark_buffer_dirty
    buffers.dirty.add(block)
    set_page_dirty_nobuffers(page)
    return 0


def _read_block(inode: Inode, page: Page, block: int, blocknr: int) -> Steps[bool]:
    size = inode.i_sb.s_blocksize
    done: list[bool] = []
    queue = WaitQueue("BH_Lock")

    def end_buffer_read_sync(bio: Bio, bytes_done: int, error: int) -> Steps[None]:
        del bytes_done, error
        done.append(bio.uptodate)
        bio_put(bio)
        queue.wake_up()
        yield from ()

    vec = BioVec(page, size, block * size)
    bio = Bio(inode.i_sb.s_bdev, blocknr * size // SECTOR_SIZE, [vec], end_buffer_read_sync, None)
    inode.i_sb.s_bdev.submit_bio(READ, bio)
    yield from queue.wait_event(lambda: bool(done))
    return done[0]
