# SPDX-License-Identifier: GPL-2.0-or-later
"""What must hold of a file's pages, states, mappings and blocks when nothing is under way.

Numbers go on from those of the trees (invariants.py).

11. No page is locked or under writeback, and nobody waits for one.
12. No byte is EXTENT_LOCKED, EXTENT_WRITEBACK or EXTENT_NEW.
13. A cached page has one reference, and one more if it has PG_private.
14. States lie in cached pages that have PG_private: else nobody will ever remove them.
15. Mappings say what the file's block list says.
16. Blocks in use are those of the file, each once, and the boot block.
17. A clean page that is up to date has what the disk has.
18. All that is allocated is in use: pages, bios, states, mappings.
"""

from __future__ import annotations

from reference.extent_map.bits import EXTENT_LOCKED, EXTENT_NEW, EXTENT_WRITEBACK, describe
from reference.extent_map.invariants import InvariantError
from reference.extent_map.mount import Mount
from reference.machine import LeakedReference
from reference.page_cache.page import PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, Page

__all__ = ["validate_at_rest"]

NOT_AT_REST = EXTENT_LOCKED | EXTENT_WRITEBACK | EXTENT_NEW


def validate_at_rest(mount: Mount, *, disk_is_good: bool = True) -> None:
    """Raise InvariantError or LeakedReference if an invariant is broken while nothing is under way.

    17 is left out unless `disk_is_good`: after an error of the disk, it need not hold.
    """
    mount.tree.validate()
    for index, page in mount.mapping.pages.items():
        _check_page(mount, index, page)
    _check_states(mount)
    _check_mappings(mount)
    _check_blocks(mount)
    for page in mount.mapping.pages.values():
        if disk_is_good and page.uptodate and not page.dirty:
            _check_contents(mount, page)
    _check_memory(mount)


def _check_page(mount: Mount, index: int, page: Page) -> None:
    if page.locked or page.writeback or page.locked_wq.waiters or page.writeback_wq.waiters:
        raise InvariantError(11, f"{page!r} is locked, under writeback or waited for")
    if page.count != 1 + page.has_private or page.mapping is not mount.mapping or page.index != index:
        raise InvariantError(13, f"{page!r} at index {index} has references of nobody")


def _check_contents(mount: Mount, page: Page) -> None:
    first = page.index << PAGE_CACHE_SHIFT
    size = min(PAGE_CACHE_SIZE, max(0, mount.inode.i_size - first))
    on_disk = mount.on_disk(first, size)
    if page.data[:size] != on_disk:
        at = next(at for at in range(size) if page.data[at] != on_disk[at])
        found = f"byte {at} is {page.data[at]:#04x}, on disk {on_disk[at]:#04x}"
        raise InvariantError(17, f"{page!r} is clean, and {found}")


def _check_states(mount: Mount) -> None:
    for state in mount.tree.states:
        if state.state & NOT_AT_REST:
            raise InvariantError(12, f"{state!r} has {describe(state.state & NOT_AT_REST)} at rest")
        for index in range(state.start >> PAGE_CACHE_SHIFT, (state.end >> PAGE_CACHE_SHIFT) + 1):
            page = mount.mapping.pages.get(index)
            if page is None or not page.has_private:
                raise InvariantError(14, f"{state!r} is of page {index}, which will not be released")


def _check_mappings(mount: Mount) -> None:
    size = mount.sb.s_blocksize
    for em in mount.tree.maps:
        for at in range(em.start, em.end + 1, size):
            block = mount.inode.blocks.get(at // size, 0)
            mapped = (em.block_start + at - em.start) // size if em.block_start else 0
            if block != mapped:
                raise InvariantError(15, f"{em!r} says block {mapped} for byte {at}, the file has {block}")


def _check_blocks(mount: Mount) -> None:
    blocks = list(mount.inode.blocks.values())
    if len(set(blocks)) != len(blocks) or {0, *blocks} != mount.sb.used:
        raise InvariantError(16, f"the file has blocks {blocks}, in use are {sorted(mount.sb.used)}")


def _check_memory(mount: Mount) -> None:
    mount.tree.check_quiet()
    mount.sb.s_bdev.bios.check_empty()
    if len(mount.sb.page_slab) != len(mount.mapping.pages):
        lost = [page for page in mount.sb.page_slab.leaks() if page not in mount.mapping.pages.values()]
        raise LeakedReference(f"invariant 18: pages that are in no mapping are allocated: {lost}")
