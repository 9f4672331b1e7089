# SPDX-License-Identifier: GPL-2.0-or-later
"""Each invariant of pages at rest fires, and the examples hold."""

from __future__ import annotations

import doctest
from collections.abc import Callable

import pytest

import reference.extent_map.page_behaviour
import reference.extent_map.page_io
from reference.extent_map.bits import EXTENT_NEW, EXTENT_UPTODATE
from reference.extent_map.invariants import InvariantError
from reference.extent_map.mount import Mount
from reference.extent_map.page_invariants import validate_at_rest
from reference.machine import Interrupts, LeakedReference, run_alone
from reference.page_cache.page import Page, page_cache_get


def at_rest() -> Mount:
    """Return a file of two pages, in the cache and on disk."""
    mount = Mount(Interrupts(), block_size=1024)
    run_alone(mount.write(0, b"x" * 8192))
    run_alone(mount.fsync(), mount.sb.s_bdev.interrupts)
    return mount


def locked(mount: Mount) -> None:
    mount.mapping.pages[0].locked = True


def under_writeback(mount: Mount) -> None:
    mount.mapping.pages[0].writeback = True


def new(mount: Mount) -> None:
    mount.tree.states.set_extent_bit(0, 1023, EXTENT_NEW)


def referenced(mount: Mount) -> None:
    page_cache_get(mount.mapping.pages[1])


def state_without_page(mount: Mount) -> None:
    mount.tree.states.set_extent_bit(8192, 8193, EXTENT_UPTODATE)


def state_without_private(mount: Mount) -> None:
    page = mount.mapping.pages[1]
    page.has_private = False
    page.count -= 1


def stale_mapping(mount: Mount) -> None:
    mount.sb.used.remove(mount.inode.blocks.pop(7))


def block_in_use_twice(mount: Mount) -> None:
    mount.sb.used.add(40)


def never_written(mount: Mount) -> None:
    mount.mapping.pages[1].data[5] = 0


@pytest.mark.parametrize(
    ("break_it", "number"),
    [
        (locked, 11),
        (under_writeback, 11),
        (new, 12),
        (referenced, 13),
        (state_without_page, 14),
        (state_without_private, 14),
        (stale_mapping, 15),
        (block_in_use_twice, 16),
        (never_written, 17),
    ],
)
def test_each_invariant_fires(break_it: Callable[[Mount], None], number: int) -> None:
    mount = at_rest()
    validate_at_rest(mount)
    break_it(mount)
    with pytest.raises(InvariantError) as caught:
        validate_at_rest(mount)
    assert caught.value.number == number


def test_memory_that_nothing_refers_to_is_a_leak() -> None:
    mount = at_rest()
    Page(mount.sb.page_slab, 9)
    with pytest.raises(LeakedReference, match="page 9"):
        validate_at_rest(mount)
    mount = at_rest()
    next(iter(mount.tree.maps)).refs += 1
    with pytest.raises(LeakedReference):
        validate_at_rest(mount)


def test_a_dirty_page_need_not_be_what_the_disk_has() -> None:
    mount = at_rest()
    never_written(mount)
    validate_at_rest(mount, disk_is_good=False)
    mount.mapping.pages[1].dirty = True
    validate_at_rest(mount)


@pytest.mark.parametrize("module", [reference.extent_map.page_behaviour, reference.extent_map.page_io])
def test_the_examples_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0
