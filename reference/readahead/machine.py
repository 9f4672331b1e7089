# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine: each device picks a zone, sweeps over it, and reads what is queued there."""

from __future__ import annotations

from reference.machine import Blocked, Steps
from reference.readahead.behaviour import MAX_IN_FLIGHT
from reference.readahead.extents import reada_extent_put
from reference.readahead.hook import readahead_hook, readahead_hook_at
from reference.readahead.radix import PAGE_SHIFT
from reference.readahead.structs import (
    ATOMIC,
    RE_LOCK,
    READA_LOCK,
    BtrfsDevice,
    FsInfo,
    ReadaExtent,
    ReadaZone,
)
from reference.readahead.work import reada_start_machine
from reference.readahead.zones import kref_put_zone

__all__ = [
    "MAX_READS_AT_A_TIME",
    "reada_peer_zones_set_lock",
    "reada_pick_zone",
    "reada_start_machine_dev",
    "reada_start_machine_worker",
]

MAX_READS_AT_A_TIME = 10_000
"""After so many reads a worker leaves the rest to others (`__reada_start_machine`)."""


def reada_peer_zones_set_lock(zone: ReadaZone, lock: int) -> None:
    """Lock or unlock the same block group on the other devices. Called with reada_lock held."""
    index = zone.end >> PAGE_SHIFT
    for dev in zone.devs:
        peer = dev.reada_zones.lookup(index)
        if peer is not None and peer.device is not zone.device:
            peer.locked = lock


def reada_pick_zone(fs_info: FsInfo, dev: BtrfsDevice) -> bool:
    """Leave the current zone and turn to the one with most elements; unlocked ones come first.

    Of several with as many, the first. False if there is none. Called with reada_lock held.
    """
    fs_info.observer.entered("reada_pick_zone", dev)
    if dev.reada_curr_zone is not None:
        reada_peer_zones_set_lock(dev.reada_curr_zone, 0)
        kref_put_zone(fs_info, dev.reada_curr_zone)
        dev.reada_curr_zone = None
    zone = _most_elements(dev)
    fs_info.observer.picked_zone(dev, zone)
    if zone is not None:
        dev.reada_curr_zone = zone
        dev.reada_next = zone.start
        zone.refcnt += 1
        reada_peer_zones_set_lock(zone, 1)
    fs_info.observer.returned("reada_pick_zone", zone is not None, dev)
    return zone is not None


def _most_elements(dev: BtrfsDevice) -> ReadaZone | None:
    top_zone: ReadaZone | None = None
    top_locked_zone: ReadaZone | None = None
    top_elems = top_locked_elems = 0
    zone = dev.reada_zones.gang_lookup(0)
    while zone is not None:
        if zone.locked:
            if zone.elems > top_locked_elems:
                top_locked_elems, top_locked_zone = zone.elems, zone
        elif zone.elems > top_elems:
            top_elems, top_zone = zone.elems, zone
        zone = dev.reada_zones.gang_lookup((zone.end >> PAGE_SHIFT) + 1)
    return top_locked_zone if top_zone is None else top_zone


def reada_start_machine_dev(fs_info: FsInfo, dev: BtrfsDevice) -> Steps[bool]:
    """Read the next extent at or behind the read pointer of `dev`; whether one was found to be read.

    An extent that another device reads already counts as none found, and so ends a round.
    """
    fs_info.observer.entered("reada_start_machine_dev", dev)
    found = yield from _start_dev(fs_info, dev)
    fs_info.observer.returned("reada_start_machine_dev", found, dev)
    return found


def _start_dev(fs_info: FsInfo, dev: BtrfsDevice) -> Steps[bool]:
    yield READA_LOCK
    re = _next_extent(fs_info, dev)
    if re is None:
        return False
    fs_info.extents.check(re)
    dev.reada_next = re.logical + fs_info.source.nodesize
    re.refcnt += 1
    yield RE_LOCK
    behaviour = fs_info.behaviour
    wanted = re.scheduled_for is None and (bool(re.extctl) or behaviour.reads_unwanted)
    if wanted:
        re.scheduled_for = dev
    logical, mirror_num = re.logical, _mirror_num(re, dev)
    if behaviour.hook_finds_extent or not wanted:
        yield from reada_extent_put(fs_info, re)
    if not wanted:
        return False
    yield ATOMIC
    dev.reada_in_flight += 1
    yield from _read(fs_info, dev, re, logical, mirror_num)
    if not behaviour.in_flight_until_completion:
        yield ATOMIC
        dev.reada_in_flight -= 1
    if not behaviour.hook_finds_extent:
        yield from reada_extent_put(fs_info, re)
    return True


def _next_extent(fs_info: FsInfo, dev: BtrfsDevice) -> ReadaExtent | None:
    """Return what is next in the current zone, or first behind the start of a new one.

    In a new zone it can be an extent behind the zone's end: nobody looks. Called with reada_lock held.
    """
    if dev.reada_curr_zone is None and not reada_pick_zone(fs_info, dev):
        return None
    assert dev.reada_curr_zone is not None
    re = dev.reada_extents.gang_lookup(dev.reada_next >> PAGE_SHIFT)
    if re is None or re.logical > dev.reada_curr_zone.end:
        if not reada_pick_zone(fs_info, dev):
            return None
        re = dev.reada_extents.gang_lookup(dev.reada_next >> PAGE_SHIFT)
    return re


def _mirror_num(re: ReadaExtent, dev: BtrfsDevice) -> int:
    """Return the number of the copy on `dev`, from 1; 0, any copy, if it has none.

    Counted are zones. In 5.10 a missing device has none, so that copies behind it count one too few.
    """
    return next((number for number, zone in enumerate(re.zones, 1) if zone.device is dev), 0)


def _read(fs_info: FsInfo, dev: BtrfsDevice, re: ReadaExtent, logical: int, mirror_num: int) -> Steps[None]:
    """Submit the read; what does not get under way is finished at once (`reada_tree_block_flagged`)."""
    yield Blocked(lambda: not fs_info.reads.page_locked(logical), "lock_page()")
    fs_info.observer.submitted(dev, logical, mirror_num)
    eb = fs_info.reads.submit(dev, logical, mirror_num)
    if eb is None:
        return
    err = eb if isinstance(eb, int) else 0
    node = None if isinstance(eb, int) else eb
    if fs_info.behaviour.hook_finds_extent:
        yield from readahead_hook_at(fs_info, node, logical, err)
    else:
        yield from readahead_hook(fs_info, re, node, err)


def reada_start_machine_worker(fs_info: FsInfo) -> Steps[None]:
    """Do one work that was taken off the queue."""
    yield from _reada_start_machine(fs_info)
    yield ATOMIC
    fs_info.reada_works_cnt -= 1


def _reada_start_machine(fs_info: FsInfo) -> Steps[None]:
    """Start reads on all devices, and queue two more works if it was not all (`__reada_start_machine`)."""
    behaviour = fs_info.behaviour
    if behaviour.picks_alone:
        yield from fs_info.device_list_mutex.lock()
    goes_on = yield from _reada_start_for_fsdevs(fs_info, fs_info.fs_devices)
    if behaviour.walks_seed_devices:
        for devices in fs_info.seed_list:
            goes_on |= yield from _reada_start_for_fsdevs(fs_info, devices)
    if behaviour.picks_alone:
        fs_info.device_list_mutex.unlock()
    if not goes_on:
        return
    for _ in range(2):
        yield from reada_start_machine(fs_info)
        yield ATOMIC
        if behaviour.max_works is not None and fs_info.reada_works_cnt > behaviour.max_works:
            break


def _reada_start_for_fsdevs(fs_info: FsInfo, devices: list[BtrfsDevice]) -> Steps[bool]:
    """Let devices read in turn until none finds anything; whether others are to go on."""
    total = enqueued = 0
    while True:
        enqueued = 0
        for device in devices:
            yield ATOMIC
            if device.reada_in_flight < MAX_IN_FLIGHT:
                enqueued += yield from reada_start_machine_dev(fs_info, device)
        total += enqueued
        if not enqueued or total >= MAX_READS_AT_A_TIME:
            break
    return bool(total if fs_info.behaviour.respawns_after_any else enqueued)
