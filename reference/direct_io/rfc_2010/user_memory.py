# SPDX-License-Identifier: GPL-2.0-or-later
"""The walk over the user's memory, page by page and vector by vector."""

from __future__ import annotations

import errno

from reference.direct_io.rfc_2010.behaviour import Behaviour
from reference.direct_io.rfc_2010.bio import BioVec
from reference.direct_io.rfc_2010.kernel import Kernel
from reference.direct_io.rfc_2010.memory import PAGE_SIZE, get_page, page_cache_release
from reference.direct_io.rfc_2010.structs import UserMemControl
from reference.machine import Bug

__all__ = [
    "btrfs_dio_done_with_out",
    "btrfs_dio_get_user_bvec",
    "btrfs_dio_not_aligned",
    "btrfs_dio_put_user_bvec",
    "btrfs_dio_release_unused_pages",
    "btrfs_dio_skip_user_mem",
]


def btrfs_dio_get_user_bvec(kernel: Kernel, umc: UserMemControl) -> BioVec | int:
    """Return the next part of a user page, at most `todo` bytes; -errno if it is not there.

    Pages are pinned ahead, up to the end of the vector.
    """
    while not umc.iov_len:
        umc.next_iov()
    if not umc.user_pages_left:
        offset = umc.iov_base & (PAGE_SIZE - 1)
        span = min(umc.iov_len, umc.remaining) + offset + PAGE_SIZE - 1
        pages = kernel.memory.get_user_pages_fast(umc.iov_base, min(umc.gup_max, span // PAGE_SIZE))
        if isinstance(pages, int):
            return pages or -errno.ERANGE
        umc.pagelist[:] = pages
        umc.user_pages_left = len(pages)
        umc.next_user_page = 0
    page = umc.pagelist[umc.next_user_page]
    offset = umc.iov_base & (PAGE_SIZE - 1)
    uv = BioVec(page, min(PAGE_SIZE - offset, umc.todo, umc.remaining, umc.iov_len), offset)
    if not uv.bv_len:
        raise Bug("asks for user memory behind the end of the request, for ever")
    umc.iov_base += uv.bv_len
    umc.iov_len -= uv.bv_len
    umc.remaining -= uv.bv_len
    umc.todo -= uv.bv_len
    if not umc.iov_len or uv.bv_offset + uv.bv_len == PAGE_SIZE:
        umc.next_user_page += 1
        umc.user_pages_left -= 1
    else:
        # The rest of the page is somebody else's to release.
        get_page(page)
    return uv


def btrfs_dio_not_aligned(behaviour: Behaviour, iomask: int, testlen: int, umc: UserMemControl) -> bool:
    """Return whether the next `testlen` bytes of user memory begin or end a vector where `iomask` forbids."""
    if umc.iov_base & iomask and (umc.iov_len or behaviour.spent_iov_decides_alignment):
        return True
    if testlen <= umc.iov_len:
        return False
    if umc.iov_len & iomask:
        return True
    testlen -= umc.iov_len
    for iov in umc.iov[umc.user_iov + 1 :]:
        if not iov.iov_len:
            continue
        if iov.iov_base & iomask:
            return True
        if testlen <= iov.iov_len:
            return False
        if iov.iov_len & iomask:
            return True
        testlen -= iov.iov_len
    raise Bug("reads behind the last iovec")


def btrfs_dio_put_user_bvec(uv: BioVec, umc: UserMemControl) -> None:
    """Give back what `btrfs_dio_get_user_bvec` returned last."""
    umc.iov_base -= uv.bv_len
    umc.iov_len += uv.bv_len
    umc.remaining += uv.bv_len
    umc.todo += uv.bv_len
    if umc.iov_len == uv.bv_len or uv.bv_offset + uv.bv_len == PAGE_SIZE:
        umc.next_user_page -= 1
        umc.user_pages_left += 1
    else:
        page_cache_release(uv.bv_page)


def btrfs_dio_release_unused_pages(umc: UserMemControl) -> None:
    """Release what was pinned and not used."""
    while umc.user_pages_left:
        page_cache_release(umc.pagelist[umc.next_user_page])
        umc.next_user_page += 1
        umc.user_pages_left -= 1


def btrfs_dio_skip_user_mem(behaviour: Behaviour, umc: UserMemControl, skip_len: int) -> None:
    """Advance over memory that is filled in when the extent completes."""
    if not behaviour.skip_keeps_pages:
        btrfs_dio_release_unused_pages(umc)
    while skip_len:
        if not umc.iov_len:
            umc.next_iov()
        length = min(umc.iov_len, skip_len)
        umc.iov_base += length
        umc.iov_len -= length
        umc.remaining -= length
        skip_len -= length


def btrfs_dio_done_with_out(kernel: Kernel, ovec: BioVec) -> None:
    """Mark a user page that was written to by the CPU dirty and release it."""
    page = ovec.bv_page
    page.slab.check(page)
    kernel.copied += ovec.bv_len
    if not page.compound:
        page.dirty = True
    page_cache_release(page)
