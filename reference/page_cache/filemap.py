# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading, writing and mapping files through the page cache (mm/filemap.c, Linux 2.6.22)."""

from __future__ import annotations

import errno

from reference.machine import PREEMPT, Steps
from reference.page_cache.address_space import (
    AddressSpace,
    add_to_page_cache,
    find_get_page,
    grab_cache_page,
)
from reference.page_cache.ext2 import Inode, i_size_read
from reference.page_cache.page import (
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    Page,
    lock_page,
    page_cache_release,
    unlock_page,
)
from reference.page_cache.truncate import Truncate, vmtruncate
from reference.page_cache.writeback import set_page_dirty

__all__ = [
    "do_generic_mapping_read",
    "filemap_nopage",
    "generic_file_buffered_write",
    "map_read",
    "map_write",
]


def do_generic_mapping_read(mapping: AddressSpace, pos: int, count: int) -> Steps[bytes | int]:
    """Read up to `count` bytes from `pos` on; return them, or -errno if the first page cannot be read."""
    inode = mapping.host
    done = bytearray()
    while count and pos < i_size_read(inode):
        page = yield from uptodate_page(mapping, pos >> PAGE_CACHE_SHIFT)
        if isinstance(page, int):
            return bytes(done) or page
        # After PG_uptodate has been seen: else another's truncate shows as data.
        yield PREEMPT
        offset = pos & (PAGE_CACHE_SIZE - 1)
        nr = min(count, PAGE_CACHE_SIZE - offset, i_size_read(inode) - pos)
        if nr > 0:
            done += page.data[offset : offset + nr]
        page_cache_release(page)
        if nr <= 0:
            break
        pos += nr
        count -= nr
    return bytes(done)


def uptodate_page(mapping: AddressSpace, index: int) -> Steps[Page | int]:
    """Return the page at `index` with a reference, read if need be, or -EIO (from `find_page` on)."""
    while True:
        yield PREEMPT
        page = find_get_page(mapping, index)
        if page is None:
            page = Page(mapping.slab, index)
            if not add_to_page_cache(page, mapping):
                page_cache_release(page)
                continue
        elif page.is_uptodate():
            return page
        else:
            yield from lock_page(page)
            if page.mapping is None:
                unlock_page(page)
                page_cache_release(page)
                continue
            if page.is_uptodate():
                unlock_page(page)
                return page
        error = yield from _readpage(mapping, page)
        if page.is_uptodate():
            return page
        truncated = page.mapping is None
        page_cache_release(page)
        if not truncated or error:
            return error or -errno.EIO


def _readpage(mapping: AddressSpace, page: Page) -> Steps[int]:
    page.error = False
    error = yield from mapping.a_ops.readpage(page)
    if error:
        return error
    if not page.uptodate:
        yield from lock_page(page)
        unlock_page(page)
    return 0


def generic_file_buffered_write(inode: Inode, pos: int, data: bytes, truncate: Truncate) -> Steps[int]:
    """Write `data` at `pos`; return the bytes written, or -errno. The caller holds i_mutex."""
    mapping = inode.i_mapping
    written = 0
    while written < len(data):
        offset = pos & (PAGE_CACHE_SIZE - 1)
        size = min(PAGE_CACHE_SIZE - offset, len(data) - written)
        page = yield from grab_cache_page(mapping, pos >> PAGE_CACHE_SHIFT)
        status = yield from mapping.a_ops.prepare_write(page, offset, offset + size)
        if status:
            unlock_page(page)
            page_cache_release(page)
            # prepare_write may have given the file blocks beyond its end.
            isize = i_size_read(inode)
            if pos + size > isize:
                yield from vmtruncate(inode, isize, truncate)
            return written or status
        yield PREEMPT
        page.data[offset : offset + size] = data[written : written + size]
        status = yield from mapping.a_ops.commit_write(page, offset, offset + size)
        unlock_page(page)
        page_cache_release(page)
        if status:
            return written or status
        pos += size
        written += size
    return written


def filemap_nopage(mapping: AddressSpace, index: int) -> Steps[Page | int]:
    """Return the page at `index` for a page table, with a reference; -EFAULT (SIGBUS) past the end."""
    size = (i_size_read(mapping.host) + PAGE_CACHE_SIZE - 1) >> PAGE_CACHE_SHIFT
    if index >= size:
        return -errno.EFAULT
    return (yield from uptodate_page(mapping, index))


def map_read(mapping: AddressSpace, pos: int, count: int) -> Steps[bytes | int]:
    """Load `count` bytes through a shared mapping; return them, or -errno where a signal would come."""
    done = bytearray()
    while len(done) < count:
        page = yield from filemap_nopage(mapping, pos >> PAGE_CACHE_SHIFT)
        if isinstance(page, int):
            return page
        offset = pos & (PAGE_CACHE_SIZE - 1)
        nr = min(count - len(done), PAGE_CACHE_SIZE - offset)
        done += page.data[offset : offset + nr]
        page_cache_release(page)
        pos += nr
    return bytes(done)


def map_write(mapping: AddressSpace, pos: int, data: bytes) -> Steps[int]:
    """Store `data` through a shared mapping; return 0, or -errno where a signal would come.

    A store into a clean page faults and makes it dirty (`do_wp_page`, `set_page_dirty_balance`); a page
    that was truncated meanwhile is not in the page table any more, and faults again.
    """
    done = 0
    while done < len(data):
        page = yield from filemap_nopage(mapping, pos >> PAGE_CACHE_SHIFT)
        if isinstance(page, int):
            return page
        yield PREEMPT
        if page.mapping is mapping:
            offset = pos & (PAGE_CACHE_SIZE - 1)
            nr = min(len(data) - done, PAGE_CACHE_SIZE - offset)
            page.data[offset : offset + nr] = data[done : done + nr]
            set_page_dirty(page)
            done += nr
            pos += nr
        page_cache_release(page)
    return 0
