# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine does step by step, written out by hand."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from errno import EIO

import pytest

from reference.machine import Deadlock, LeakedReference
from reference.readahead.behaviour import BTRFS_MAX_MIRRORS, MAX_IN_FLIGHT, Behaviour
from reference.readahead.control import (
    btrfs_reada_add,
    btrfs_reada_remove_dev,
    btrfs_reada_undo_remove_dev,
)
from reference.readahead.engine import Readahead, run
from reference.readahead.extents import reada_find_extent
from reference.readahead.hook import btree_readahead_hook
from reference.readahead.machine import MAX_READS_AT_A_TIME, reada_pick_zone, reada_start_machine_worker
from reference.readahead.naive import blocks_to_read
from reference.readahead.radix import PAGE_SHIFT
from reference.readahead.source import MAX_KEY, MIN_KEY, Root
from reference.readahead.structs import ReadaControl
from reference.readahead.testing import NODESIZE, Blocks, Keeper, key

BOTH = pytest.mark.parametrize(
    "behaviour", [Behaviour.linux_5_10, Behaviour.seed_2011], ids=lambda behaviour: behaviour.name
)


def started(
    groups: Sequence[tuple[int, ...]],
    places: Iterable[int],
    behaviour: Behaviour = Behaviour.linux_5_10,
    *,
    missing: Sequence[int] = (),
    stale: Sequence[int] = (),
    start: int = 0,
    end: int = 1 << 20,
) -> tuple[Readahead, Keeper, ReadaControl | None, Root]:
    """Begin a readahead of a tree whose leaves and root have `places`, in groups of 16 blocks."""
    source, keeper = Blocks(groups, 16), Keeper()
    numbers = list(places)
    root = source.grow(len(numbers) - 1, max(2, len(numbers)), numbers, stale)
    devids = sorted({devid for group in groups for devid in group})
    readahead = Readahead(source, devids, behaviour, missing=missing, observer=keeper)
    rc = readahead.add(root, key(start), key(end))
    return readahead, keeper, rc, root


def blocks(readahead: Readahead) -> list[tuple[int, int]]:
    """Return (devid, block) of the reads under way."""
    return [(read.picked_by, read.logical // NODESIZE) for read in readahead.pending]


def finish(readahead: Readahead, rc: ReadaControl | None) -> None:
    assert rc is not None
    readahead.wait(rc)
    readahead.validate()
    fs_info = readahead.fs_info
    assert [len(slab) for slab in (fs_info.extents, fs_info.extctls, fs_info.controls)] == [0, 0, 0]


@pytest.mark.parametrize("module", ["behaviour", "example", "permutation", "radix", "synthetic"])
def test_examples(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"reference.readahead.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


@BOTH
def test_one_device_reads_upwards_whatever_the_order_of_keys(behaviour: Behaviour) -> None:
    readahead, keeper, rc, root = started([(1,)], [9, 2, 7, 4, 12], behaviour)
    assert blocks(readahead) == [(1, 12)]
    readahead.complete(root.bytenr)
    # Nothing is left behind the read pointer: the zone is picked again, from its start.
    assert blocks(readahead) == [(1, 2), (1, 4), (1, 7), (1, 9)]
    assert keeper.blocks[keeper_control(rc)] == [12 * NODESIZE, *(n * NODESIZE for n in (9, 2, 7, 4))]
    finish(readahead, rc)


def keeper_control(rc: ReadaControl | None) -> ReadaControl:
    assert rc is not None
    return rc


@BOTH
def test_the_pointer_goes_on_before_it_goes_back(behaviour: Behaviour) -> None:
    readahead, _, rc, root = started([(1,)], [9, 2, 7, 4, 5], behaviour)
    readahead.complete(root.bytenr)
    assert blocks(readahead) == [(1, 7), (1, 9), (1, 2), (1, 4)]
    finish(readahead, rc)


def test_the_seed_has_six_in_flight_and_5_10_all() -> None:
    places = [*range(1, 11), 0]
    seed, _, _, root = started([(1,)], places, Behaviour.seed_2011)
    seed.complete(root.bytenr)
    assert len(seed.pending) == MAX_IN_FLIGHT
    seed.complete(seed.pending[3].logical)
    assert len(seed.pending) == MAX_IN_FLIGHT
    later, _, _, root = started([(1,)], places)
    later.complete(root.bytenr)
    assert len(later.pending) == 10


@BOTH
def test_mirrors_are_read_in_different_zones(behaviour: Behaviour) -> None:
    readahead, keeper, rc, root = started([(1, 2), (1, 2), (3,)], [1, 2, 3, 17, 18, 32], behaviour)
    readahead.complete(root.bytenr)
    assert blocks(readahead) == [(1, 1), (2, 17), (1, 2), (2, 18), (1, 3)]
    assert keeper.zones[:4] == [(1, None), (2, None), (3, 32 * NODESIZE), (1, None)]
    finish(readahead, rc)


@BOTH
def test_with_one_zone_left_both_devices_read_there(behaviour: Behaviour) -> None:
    readahead, keeper, rc, root = started([(1, 2)], [1, 2, 3, 4, 0], behaviour)
    readahead.complete(root.bytenr)
    assert {devid for devid, _ in blocks(readahead)} <= {1, 2}
    assert len(readahead.pending) == 4
    assert (2, 0) in keeper.zones
    finish(readahead, rc)


def test_the_zone_with_most_elements_wins_but_locked_ones_come_last() -> None:
    places = [0, 16, 17, 32, 33, 34, 48]
    readahead, _, _, root = started([(1, 2), (1, 2), (1, 2), (3,)], places)
    fs_info = readahead.fs_info
    one = fs_info.fs_devices[0]
    for device in fs_info.fs_devices:
        device.reada_in_flight = MAX_IN_FLIGHT
    readahead.complete(root.bytenr)
    zones = [zone for _, zone in one.reada_zones]
    assert [zone.elems for zone in zones] == [1, 2, 3]
    for locked, picked in (((), 2), ((2,), 1), ((1, 2), 0), ((0, 1, 2), 2)):
        for number, zone in enumerate(zones):
            zone.locked = number in locked
        assert reada_pick_zone(fs_info, one)
        assert one.reada_curr_zone is zones[picked]
        assert one.reada_next == zones[picked].start


def test_of_zones_with_as_many_elements_the_first_is_picked() -> None:
    readahead, keeper, rc, root = started([(1,), (1,), (2,)], [17, 1, 32])
    readahead.complete(root.bytenr)
    assert next(zone for devid, zone in keeper.zones if devid == 1 and zone is not None) == 0
    finish(readahead, rc)


@BOTH
def test_a_peer_zone_made_later_is_not_locked(behaviour: Behaviour) -> None:
    """A hole in "no two disks read both sides of a mirror": a zone that was freed comes back unlocked."""
    readahead, _, _, root = started([(1, 2), (1, 2), (3,)], [1, 2, 3, 17, 32], behaviour)
    readahead.complete(root.bytenr)
    one, two, _ = readahead.fs_info.fs_devices
    standing = two.reada_curr_zone
    assert standing is not None
    assert standing.start == 16 * NODESIZE
    assert one.reada_zones.lookup(standing.end >> PAGE_SHIFT) is not None
    node, err = readahead.reads.end(17 * NODESIZE)
    run(btree_readahead_hook(readahead.fs_info, node, 17 * NODESIZE, err))
    assert one.reada_zones.lookup(standing.end >> PAGE_SHIFT) is None
    run(btrfs_reada_add(readahead.fs_info, Root(20 * NODESIZE, 5), MIN_KEY, MAX_KEY))
    peer = one.reada_zones.lookup(standing.end >> PAGE_SHIFT)
    assert peer is not None
    assert two.reada_curr_zone is standing
    assert not peer.locked
    readahead.validate()


@BOTH
def test_a_block_under_way_ends_a_work_though_others_are_queued(behaviour: Behaviour) -> None:
    """One device, two trees: once root 5 was read, its leaves wait until root 9 was read as well."""
    source = Blocks([(1,)], 16)
    first = source.grow(2, 2, [2, 3, 5])
    second = source.grow(2, 2, [11, 12, 9])
    readahead = Readahead(source, [1], behaviour)
    controls = [readahead.add(first), readahead.add(second)]
    assert blocks(readahead) == [(1, 5), (1, 9)]
    readahead.complete(5 * NODESIZE)
    assert blocks(readahead) == [(1, 9)]
    assert [index for index, _ in readahead.fs_info.reada_tree] == [2, 3, 9]
    readahead.complete(9 * NODESIZE)
    assert blocks(readahead) == [(1, 11), (1, 12), (1, 2), (1, 3)]
    for control in controls:
        readahead.wait(keeper_control(control))


@pytest.mark.parametrize(
    ("behaviour", "is_queued"), [(Behaviour.linux_5_10, True), (Behaviour.seed_2011, False)]
)
def test_who_comes_second_may_find_nothing_in_the_seed(behaviour: Behaviour, is_queued: bool) -> None:
    """Two want a block at once; the one that comes second looks for the other's extent when it is gone."""
    source = Blocks([(1,)], 16)
    root = source.grow(1, 2, [1])
    readahead = Readahead(source, [1], behaviour)
    second = reada_find_extent(readahead.fs_info, root.bytenr, MAX_KEY)
    # Lookup, lookup and insertion of the zone, counting in twice; it stops before it inserts its extent.
    for _ in range(6):
        next(second)
    first = readahead.add(root)
    next(second)
    readahead.complete(root.bytenr)
    assert (run(second) is not None) == is_queued
    readahead.wait(keeper_control(first))


@BOTH
def test_children_outside_of_the_range_are_not_read(behaviour: Behaviour) -> None:
    readahead, _, rc, root = started([(1,)], [1, 2, 3, 4, 0], behaviour, start=10, end=30)
    readahead.complete(root.bytenr)
    # Leaves begin at 0, 10, 20, 30: the first ends where the range begins, the last begins where it ends.
    assert blocks(readahead) == [(1, 2), (1, 3)]
    finish(readahead, rc)


@BOTH
def test_an_error_cuts_the_branch(behaviour: Behaviour) -> None:
    readahead, keeper, rc, root = started([(1, 2)], [1, 2, 0], behaviour)
    readahead.complete(root.bytenr, -EIO)
    assert readahead.pending == []
    assert keeper.over[keeper_control(rc)] == {root.bytenr: -EIO}
    finish(readahead, rc)


@BOTH
def test_what_is_in_a_block_that_failed_is_not_looked_at(behaviour: Behaviour) -> None:
    """The kernel hands the hook the buffer, whatever is in it."""
    readahead, _, rc, root = started([(1, 2)], [1, 2, 0], behaviour)
    readahead.reads.end(root.bytenr)
    node = readahead.reads.source.node(root.bytenr)
    run(btree_readahead_hook(readahead.fs_info, node, root.bytenr, -EIO))
    readahead.work()
    assert readahead.pending == []
    finish(readahead, rc)


@BOTH
def test_a_block_of_another_generation_is_not_believed(behaviour: Behaviour) -> None:
    source = Blocks([(1,)], 16)
    root = source.grow(4, 2, [1, 2, 3, 4, 5, 6, 0], stale=[5])
    readahead = Readahead(source, [1], behaviour)
    rc = readahead.add(root)
    readahead.complete(root.bytenr)
    assert blocks(readahead) == [(1, 5), (1, 6)]
    readahead.complete(5 * NODESIZE)
    readahead.complete(6 * NODESIZE)
    assert sorted(blocks(readahead)) == [(1, 3), (1, 4)]
    finish(readahead, rc)


@BOTH
def test_two_readaheads_share_a_read_under_way(behaviour: Behaviour) -> None:
    readahead, keeper, rc, root = started([(1,)], [1, 2, 0], behaviour)
    other = readahead.add(root, key(10), key(20))
    assert blocks(readahead) == [(1, 0)]
    readahead.complete(root.bytenr)
    assert blocks(readahead) == [(1, 1), (1, 2)]
    readahead.detach(keeper_control(other))
    readahead.validate()
    finish(readahead, rc)
    assert [block // NODESIZE for _, block, _ in keeper.reads] == [0, 1, 2]


@BOTH
def test_what_is_in_memory_is_not_read_again(behaviour: Behaviour) -> None:
    readahead, _, rc, root = started([(1, 2)], [1, 17, 0], behaviour)
    finish(readahead, rc)
    again = readahead.add(root)
    assert readahead.pending == []
    finish(readahead, again)


def test_dup_is_dropped_by_the_seed_and_read_once_by_5_10() -> None:
    seed, _, rc, _ = started([(1, 1)], [1, 2, 0], Behaviour.seed_2011)
    assert seed.pending == []
    seed.wait(keeper_control(rc))
    with pytest.raises(LeakedReference, match="1 of reada_control left"):
        seed.fs_info.controls.check_empty()
    later, keeper, rc, _ = started([(1, 1)], [1, 2, 0])
    finish(later, rc)
    assert keeper.reads == [(1, 0, 1), (1, NODESIZE, 1), (1, 2 * NODESIZE, 1)]


def test_copies_beyond_max_mirrors_are_not_read() -> None:
    seed, _, _, _ = started([(1, 2, 3)], [1, 0], Behaviour.seed_2011)
    assert seed.pending == []
    later, _, rc, _ = started([(1, 2, 3)], [1, 0])
    finish(later, rc)
    six, _, none, _ = started([tuple(range(1, BTRFS_MAX_MIRRORS + 2))], [1, 0])
    assert none is None
    assert six.pending == []
    six.validate()


def test_with_a_missing_device_5_10_counts_copies_wrongly() -> None:
    """The copy on device 2 is number 2, but 5.10 asks for number 1, which is on the missing one."""
    readahead, keeper, rc, root = started([(1, 2)], [1, 2, 0], missing=[1])
    assert [(read.picked_by, read.devid, read.mirror_num) for read in readahead.pending] == [(2, 1, 1)]
    readahead.complete(root.bytenr)
    assert keeper.over[keeper_control(rc)] == {root.bytenr: -EIO}
    finish(readahead, rc)
    behind, keeper, rc, _ = started([(1, 2)], [1, 2, 0], missing=[2])
    finish(behind, rc)
    assert set(keeper.over[keeper_control(rc)].values()) == {0}


def test_the_seed_turns_to_missing_devices_too() -> None:
    readahead, _, _, _ = started([(1, 2)], [1, 2, 0], Behaviour.seed_2011, missing=[1])
    assert [(read.picked_by, read.devid, read.err) for read in readahead.pending] == [(1, 1, -EIO)]


def test_a_device_that_is_being_removed_gets_no_more() -> None:
    readahead, keeper, rc, root = started([(1, 2), (1, 2)], [1, 17, 0])
    finish(readahead, rc)
    two = readahead.fs_info.fs_devices[1]
    readahead.reads.in_memory.clear()
    keeper.reads.clear()
    two.no_reada = True
    again = readahead.add(root)
    assert len(readahead.fs_info.reada_tree) == 1
    assert len(two.reada_extents) == 0
    finish(readahead, again)
    assert {devid for devid, _, _ in keeper.reads} == {1}
    run(btrfs_reada_undo_remove_dev(two))
    assert not two.no_reada
    with pytest.raises(Deadlock, match="btrfs_flush_workqueue"):
        run(btrfs_reada_remove_dev(readahead.fs_info, two))
    assert two.no_reada


def test_targets_of_a_replace_are_left_out() -> None:
    source = Blocks([(1, 2)], 16)
    source.num_tgtdevs = 1
    root = source.grow(2, 2, [1, 2, 0])
    keeper = Keeper()
    readahead = Readahead(source, [1, 2], observer=keeper)
    finish(readahead, readahead.add(root))
    assert {devid for devid, _, _ in keeper.reads} == {1}


def test_a_worker_leaves_the_rest_to_others_after_10000() -> None:
    source = Blocks([(1,)], MAX_READS_AT_A_TIME + 100)
    places = [*range(1, MAX_READS_AT_A_TIME + 50), 0]
    root = source.grow(len(places) - 1, len(places), places)
    behaviour = replace(Behaviour.linux_5_10, respawns_after_any=False)
    readahead = Readahead(source, [1], behaviour)
    rc = readahead.add(root)
    readahead.complete(root.bytenr)
    assert len(readahead.pending) == MAX_READS_AT_A_TIME + 49
    finish(readahead, rc)


@pytest.mark.parametrize(
    ("behaviour", "before", "queued"),
    [
        (Behaviour.linux_5_10, 1, 2),
        (Behaviour.linux_5_10, 9, 2),
        (Behaviour.linux_5_10, 10, 1),
        (Behaviour.seed_2011, 1, 0),
        (replace(Behaviour.seed_2011, respawns_after_any=True), 50, 2),
    ],
)
def test_how_many_works_a_worker_leaves(behaviour: Behaviour, before: int, queued: int) -> None:
    source = Blocks([(1,)], 16)
    root = source.grow(1, 2, [1])
    fs_info = Readahead(source, [1], behaviour).fs_info
    run(btrfs_reada_add(fs_info, root, MIN_KEY, MAX_KEY))
    # One was taken off the queue, and is counted while it runs.
    fs_info.readahead_workers, fs_info.reada_works_cnt = before - 1, before
    run(reada_start_machine_worker(fs_info))
    assert fs_info.readahead_workers == before - 1 + queued
    assert fs_info.reada_works_cnt == before - 1 + queued


@BOTH
def test_a_wait_for_what_nobody_reads_is_found(behaviour: Behaviour) -> None:
    readahead, _, rc, root = started([(1,)], [1, 2, 0], behaviour)
    readahead.reads.end(root.bytenr)
    with pytest.raises(Deadlock, match="waits for 1 blocks that nobody reads"):
        readahead.wait(keeper_control(rc))


@BOTH
def test_without_a_chunk_nothing_is_read_ahead(behaviour: Behaviour) -> None:
    readahead, _, rc, _ = started([(1,), ()], [1, 2, 16], behaviour)
    assert readahead.pending == []
    assert (rc is None) == behaviour.add_can_fail
    readahead.validate()


def test_below_a_block_that_fails_nothing_is_asked_for() -> None:
    """Nor is the block itself looked at, which may be unreadable."""
    source = Blocks([(1,)], 16)
    root = source.grow(4, 2, range(7))
    del source.nodes[4 * NODESIZE]
    expected = {6, 5, 4, 2, 3}
    found = blocks_to_read(source, root, MIN_KEY, MAX_KEY, failing={4 * NODESIZE})
    assert {bytenr // NODESIZE for bytenr in found} == expected
