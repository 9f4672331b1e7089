# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages, bios, blocks and mutexes of the page cache by themselves."""

from __future__ import annotations

import pytest

from reference.machine import Bug, Deadlock, Interrupts, Machine, Steps, UseAfterFree, explore, run_alone
from reference.page_cache.address_space import (
    find_get_page,
    find_lock_page,
    grab_cache_page,
    remove_from_page_cache,
)
from reference.page_cache.bio import READ, WRITE, Bio, BioVec, bio_put
from reference.page_cache.ext2 import BufferHead, Inode, SuperBlock, ext2_get_block
from reference.page_cache.page import (
    NEVER_WRITTEN,
    PAGE_CACHE_SIZE,
    Page,
    end_page_writeback,
    lock_page,
    page_cache_release,
    set_page_writeback,
    unlock_page,
    wait_on_page_writeback,
    zero_user_page,
)
from reference.page_cache.writeback import set_page_dirty_nobuffers


def new_inode(block_size: int = 1024, blocks: int = 8) -> Inode:
    return Inode(SuperBlock(blocks, block_size, Interrupts()))


def done(bio: Bio, bytes_done: int, error: int) -> Steps[None]:
    del bytes_done, error
    bio_put(bio)
    yield from ()


def test_a_new_page_has_what_was_in_memory() -> None:
    page = run_alone(grab_cache_page(new_inode().i_mapping, 3))
    assert (page.index, page.locked, page.uptodate, page.count) == (3, True, False, 2)
    assert page.data == bytes([NEVER_WRITTEN]) * PAGE_CACHE_SIZE


def test_a_page_is_found_once_it_is_there() -> None:
    mapping = new_inode().i_mapping
    assert find_get_page(mapping, 0) is None
    page = run_alone(grab_cache_page(mapping, 0))
    assert find_get_page(mapping, 0) is page
    assert page.count == 3
    with pytest.raises(Deadlock, match="PG_locked"):
        run_alone(find_lock_page(mapping, 0))


def test_a_page_that_was_truncated_while_one_waited_for_it_is_not_returned() -> None:
    def scenario(machine: Machine) -> None:
        mapping = new_inode().i_mapping
        page = run_alone(grab_cache_page(mapping, 0))

        def truncate() -> Steps[None]:
            remove_from_page_cache(page)
            page_cache_release(page)
            unlock_page(page)
            page_cache_release(page)
            yield from ()

        def find() -> Steps[None]:
            found = yield from find_lock_page(mapping, 0)
            assert found is None

        machine.task("A", find())
        machine.task("B", truncate())

    result = explore(scenario)
    assert result.complete
    assert result.found == []


@pytest.mark.parametrize(
    "misuse", [unlock_page, end_page_writeback, lambda page: zero_user_page(page, 4000, 97)]
)
def test_what_the_kernel_takes_for_a_bug_is_one(misuse: object) -> None:
    page = Page(new_inode().i_sb.page_slab, 0)
    with pytest.raises(Bug):
        misuse(page)  # type: ignore[operator]


def test_a_freed_page_cannot_be_used() -> None:
    page = Page(new_inode().i_sb.page_slab, 0)
    page_cache_release(page)
    with pytest.raises(UseAfterFree):
        run_alone(lock_page(page))


def test_writeback_ends_who_waits_for_it() -> None:
    page = Page(new_inode().i_sb.page_slab, 0)
    set_page_writeback(page)
    with pytest.raises(Deadlock, match="PG_writeback"):
        run_alone(wait_on_page_writeback(page))
    end_page_writeback(page)
    run_alone(wait_on_page_writeback(page))


def test_the_dirty_tag_stays_until_writeback_begins() -> None:
    page = Page(new_inode().i_sb.page_slab, 0)
    set_page_dirty_nobuffers(page)
    page.dirty = False
    assert page.tagged_dirty
    set_page_writeback(page)
    assert not page.tagged_dirty


def test_a_bio_moves_bytes_when_it_is_done() -> None:
    inode = new_inode()
    bdev = inode.i_sb.s_bdev
    page = run_alone(grab_cache_page(inode.i_mapping, 0))
    page.data[1024:2048] = b"x" * 1024
    bdev.submit_bio(WRITE, Bio(bdev, 4, [BioVec(page, 1024, 1024)], done, None))
    assert bdev.data[2048:3072] != b"x" * 1024
    run_alone(bdev.interrupts.take(0).handler)
    assert bdev.data[2048:3072] == b"x" * 1024
    bdev.submit_bio(READ, Bio(bdev, 4, [BioVec(page, 1024, 0)], done, None))
    run_alone(bdev.interrupts.take(0).handler)
    assert page.data[:1024] == b"x" * 1024
    bdev.bios.check_empty()


def test_a_bio_that_fails_moves_nothing() -> None:
    inode = new_inode()
    bdev = inode.i_sb.s_bdev
    bdev.failing = lambda *_: True
    page = run_alone(grab_cache_page(inode.i_mapping, 0))
    bio = Bio(bdev, 4, [BioVec(page, 1024, 0)], done, None)
    bdev.submit_bio(READ, bio)
    run_alone(bdev.interrupts.take(0).handler)
    assert not bio.uptodate
    assert page.data[0] == NEVER_WRITTEN


def test_the_disk_has_an_end() -> None:
    inode = new_inode(blocks=2)
    page = run_alone(grab_cache_page(inode.i_mapping, 0))
    bdev = inode.i_sb.s_bdev
    with pytest.raises(Bug, match="beyond end of device"):
        bdev.submit_bio(READ, Bio(bdev, 3, [BioVec(page, 1024, 0)], done, None))


def test_a_page_must_live_until_its_bio_is_done() -> None:
    inode = new_inode()
    bdev = inode.i_sb.s_bdev
    page = Page(inode.i_sb.page_slab, 0)
    bdev.submit_bio(READ, Bio(bdev, 2, [BioVec(page, 1024, 0)], done, None))
    page_cache_release(page)
    with pytest.raises(UseAfterFree):
        run_alone(bdev.interrupts.take(0).handler)


def test_blocks_are_given_lowest_first_until_there_are_none() -> None:
    inode = new_inode(blocks=3)
    bh = BufferHead(1024)
    assert ext2_get_block(inode, 5, bh, create=False) == 0
    assert not bh.mapped
    assert ext2_get_block(inode, 5, bh, create=True) == 0
    assert (bh.mapped, bh.new, bh.b_blocknr) == (True, True, 1)
    assert ext2_get_block(inode, 6, BufferHead(1024), create=True) == 0
    assert ext2_get_block(inode, 7, BufferHead(1024), create=True) < 0
    assert inode.i_sb.refused == 1
    inode.i_size = 6 * 1024
    inode.truncate_blocks()
    assert (inode.blocks, inode.i_sb.used) == ({5: 1}, {0, 1})


def test_a_mutex_lets_one_in() -> None:
    def scenario(machine: Machine) -> None:
        mutex = new_inode().i_mutex
        inside: list[str] = []

        def enter(name: str) -> Steps[None]:
            yield from mutex.mutex_lock()
            inside.append(name)
            yield from lock_page(Page(new_inode().i_sb.page_slab, 0))
            assert inside == [name]
            inside.remove(name)
            mutex.mutex_unlock()

        for name in "ABC":
            machine.task(name, enter(name))

    result = explore(scenario)
    assert result.complete
    assert result.found == []
