# SPDX-License-Identifier: GPL-2.0-or-later
"""Each invariant has an engine that was broken on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reference.readahead.behaviour import Behaviour
from reference.readahead.engine import Readahead, run
from reference.readahead.invariants import InvariantError, validate, validate_always
from reference.readahead.radix import PAGE_SHIFT
from reference.readahead.source import MAX_KEY, MIN_KEY
from reference.readahead.structs import BtrfsDevice, FsInfo, ReadaExtctl, ReadaExtent, ReadaZone
from reference.readahead.testing import NODESIZE, Blocks, key

BUSY = 30
"""Where a block is queued but not being read: six others are."""


def healthy() -> FsInfo:
    """Two devices that mirror two block groups, each at work in one: 14 leaves queued, 12 being read."""
    source = Blocks([(1, 2), (1, 2)], 16)
    places = [*range(1, 8), *range(24, 31), 0]
    root = source.grow(14, 14, places)
    readahead = Readahead(source, (1, 2), Behaviour.seed_2011)
    assert readahead.add(root, MIN_KEY, MAX_KEY) is not None
    readahead.complete(root.bytenr)
    assert len(readahead.pending) == 12
    readahead.validate()
    return readahead.fs_info


def extent(fs_info: FsInfo, block: int = BUSY) -> ReadaExtent:
    found = fs_info.reada_tree.lookup(block)
    assert found is not None
    return found


def device(fs_info: FsInfo, devid: int) -> BtrfsDevice:
    return fs_info.devices[devid]


def zone(fs_info: FsInfo, devid: int = 1, number: int = 0) -> ReadaZone:
    return [zone for _, zone in device(fs_info, devid).reada_zones][number]


def moved_extent(fs_info: FsInfo) -> None:
    extent(fs_info).logical += 1 << PAGE_SHIFT


def freed_extent(fs_info: FsInfo) -> None:
    fs_info.extents.died(extent(fs_info))


def moved_zone(fs_info: FsInfo) -> None:
    zone(fs_info).end += 1 << PAGE_SHIFT


def freed_zone(fs_info: FsInfo) -> None:
    fs_info.zones.died(zone(fs_info))


def not_in_the_file_system(fs_info: FsInfo) -> None:
    fs_info.reada_tree.delete(BUSY)


def without_zones(fs_info: FsInfo) -> None:
    other = BtrfsDevice(3)
    fs_info.devices[3] = other
    other.reada_extents.insert(BUSY, extent(fs_info))


def not_on_a_device(fs_info: FsInfo) -> None:
    device(fs_info, 2).reada_extents.delete(BUSY)


def on_no_device(fs_info: FsInfo) -> None:
    extent(fs_info).zones.clear()
    for dev in fs_info.fs_devices:
        dev.reada_extents.delete(BUSY)


def of_another_device(fs_info: FsInfo) -> None:
    stray = ReadaZone(1 << 30, (1 << 30) + NODESIZE - 1, device(fs_info, 2), [])
    fs_info.zones.born(stray)
    device(fs_info, 1).reada_zones.insert(stray.end >> PAGE_SHIFT, stray)


def ends_before_it_begins(fs_info: FsInfo) -> None:
    zone(fs_info).start = zone(fs_info).end + 1


def overlap(fs_info: FsInfo) -> None:
    zone(fs_info, 1, 1).start -= 1


def uncounted_element(fs_info: FsInfo) -> None:
    zone(fs_info).elems -= 1


def one_element_too_many(fs_info: FsInfo) -> None:
    zone(fs_info).elems += 1


def locked_by_nobody(fs_info: FsInfo) -> None:
    for dev in fs_info.fs_devices:
        dev.reada_curr_zone = None


def foreign_current_zone(fs_info: FsInfo) -> None:
    dev = device(fs_info, 1)
    assert dev.reada_curr_zone is not None
    dev.reada_curr_zone = ReadaZone(dev.reada_curr_zone.start, dev.reada_curr_zone.end, dev, [dev])
    zone(fs_info, 2, 0).locked = zone(fs_info, 2, 1).locked = 0


def wanted_twice(fs_info: FsInfo) -> None:
    re = extent(fs_info)
    re.extctl.append(ReadaExtctl(re.extctl[0].rc, 5))


def extra_reference(fs_info: FsInfo) -> None:
    extent(fs_info).refcnt += 1


def missing_element(fs_info: FsInfo) -> None:
    extent(fs_info).extctl[0].rc.elems -= 1


def lost_extctl(fs_info: FsInfo) -> None:
    re = extent(fs_info)
    re.extctl.clear()
    re.refcnt = 1
    re.extctl.append(ReadaExtctl(fs_info.live_controls()[0], 5))
    fs_info.extctls.born(ReadaExtctl(fs_info.live_controls()[0], 5))


def control_kept(fs_info: FsInfo) -> None:
    fs_info.live_controls()[0].refcnt = 3


def control_let_go(fs_info: FsInfo) -> None:
    fs_info.live_controls()[0].refcnt = 0


def zone_kept(fs_info: FsInfo) -> None:
    zone(fs_info).refcnt += 1


def uncounted_in_flight(fs_info: FsInfo) -> None:
    device(fs_info, 1).reada_in_flight -= 1


def scheduled_in_vain(fs_info: FsInfo) -> None:
    re = next(re for _, re in fs_info.reada_tree if re.scheduled_for is None)
    re.scheduled_for = device(fs_info, 1)
    device(fs_info, 1).reada_in_flight += 1


def extent_beside_the_tree(fs_info: FsInfo) -> None:
    fs_info.extents.born(ReadaExtent(0, key(0)))


def zone_beside_the_trees(fs_info: FsInfo) -> None:
    fs_info.zones.born(ReadaZone(0, NODESIZE - 1, device(fs_info, 1), []))


def uncounted_work(fs_info: FsInfo) -> None:
    fs_info.readahead_workers += 1


def held_mutex(fs_info: FsInfo) -> None:
    run(fs_info.device_list_mutex.lock())


BROKEN_ALWAYS: list[tuple[int, Callable[[FsInfo], None]]] = [
    (1, moved_extent),
    (1, freed_extent),
    (1, moved_zone),
    (1, freed_zone),
    (2, not_in_the_file_system),
    (2, without_zones),
    (3, not_on_a_device),
    (3, on_no_device),
    (4, of_another_device),
    (4, ends_before_it_begins),
    (4, overlap),
    (5, uncounted_element),
    (6, locked_by_nobody),
    (7, foreign_current_zone),
    (8, wanted_twice),
]
BROKEN_BETWEEN_CALLS: list[tuple[int, Callable[[FsInfo], None]]] = [
    (5, one_element_too_many),
    (9, extra_reference),
    (10, missing_element),
    (10, lost_extctl),
    (11, control_kept),
    (11, control_let_go),
    (12, zone_kept),
    (13, uncounted_in_flight),
    (14, scheduled_in_vain),
    (15, extent_beside_the_tree),
    (15, zone_beside_the_trees),
    (16, uncounted_work),
    (17, held_mutex),
]


@pytest.mark.parametrize(("number", "damage"), [*BROKEN_ALWAYS, *BROKEN_BETWEEN_CALLS])
def test_a_broken_invariant_is_named(number: int, damage: Callable[[FsInfo], None]) -> None:
    fs_info = healthy()
    damage(fs_info)
    with pytest.raises(InvariantError) as caught:
        validate(fs_info)
    assert caught.value.number == number


@pytest.mark.parametrize(("number", "damage"), BROKEN_ALWAYS)
def test_those_that_hold_at_every_stop_are_checked_there(
    number: int, damage: Callable[[FsInfo], None]
) -> None:
    fs_info = healthy()
    damage(fs_info)
    with pytest.raises(InvariantError) as caught:
        validate_always(fs_info)
    assert caught.value.number == number


@pytest.mark.parametrize(("_number", "damage"), BROKEN_BETWEEN_CALLS)
def test_a_function_at_work_may_break_the_others(_number: int, damage: Callable[[FsInfo], None]) -> None:
    fs_info = healthy()
    damage(fs_info)
    validate_always(fs_info)


def test_every_invariant_is_broken_once() -> None:
    assert {number for number, _ in (*BROKEN_ALWAYS, *BROKEN_BETWEEN_CALLS)} == set(range(1, 18))
