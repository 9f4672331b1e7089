# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbered invariants of the engine's structures.

1. A tree holds each extent under its own address, each zone under its own end; none of them was freed.
2. An extent in a device's tree is the one of that address in the file system's, and has a zone of the device.
3. An extent is in the trees of all devices of its zones that take extents, and in one at least.
4. A zone is in the tree of its device, begins before it ends, and no two of a device overlap.
5. A zone has at least as many elements as it is a zone of extents in the tree (between calls: as many).
6. A locked zone has a peer that is another device's current zone.
7. A current zone is one of its device's zones.
8. A control wants an extent once.

Between two calls of the engine's functions also:

9. An extent has one reference for each of its extctls, and at least one.
10. A control has as many elements as extctls.
11. A control has a reference for having elements, and at most one more, of who added it.
12. A zone has one reference for having elements, and one for being current; and no more.
13. `reada_in_flight` counts the extents scheduled for the device, or (5.10) is 0.
14. An extent that is scheduled is being read.
15. Every extent in existence is in the file system's tree; every zone in existence in its device's tree.
16. Works that are queued are those that are counted, once none is running.
17. Nobody holds `device_list_mutex`.

What is no invariant, in neither version: that a current zone's peers are locked. A peer that came into being
later is not (docs/readahead.md), so two devices can read the same block group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from reference.rbtree import InvariantError
from reference.readahead.radix import PAGE_SHIFT
from reference.readahead.structs import BtrfsDevice, FsInfo, ReadaExtent, ReadaZone

__all__ = ["InvariantError", "validate", "validate_always"]


def validate(fs_info: FsInfo) -> None:
    """Raise InvariantError if an invariant is broken; for use between calls of the engine's functions."""
    validate_always(fs_info)
    extents = [re for _, re in fs_info.reada_tree]
    _check_existence(fs_info)
    _check_references(extents)
    _check_controls(fs_info, extents)
    _check_zone_references(fs_info)
    _check_in_flight(fs_info, extents)
    _check_works(fs_info)


def validate_always(fs_info: FsInfo) -> None:
    """Raise InvariantError if an invariant is broken that holds at every stop, too."""
    for index, re in fs_info.reada_tree:
        if index != re.logical >> PAGE_SHIFT or not re.alive:
            raise InvariantError(1, f"{re} is at page {index}, {'live' if re.alive else 'freed'}")
        _check_wanted_once(re)
        _check_device_trees(fs_info, re)
    for dev in fs_info.devices.values():
        _check_extents_of(fs_info, dev)
        _check_zones_of(dev)
        _check_current(dev)
    _check_elements(fs_info)
    for zone in _zones(fs_info.devices.values()):
        _check_lock(fs_info, zone)


def _zones(devices: Iterable[BtrfsDevice]) -> Iterator[ReadaZone]:
    return (zone for dev in devices for _, zone in dev.reada_zones)


def _check_wanted_once(re: ReadaExtent) -> None:
    seen: set[int] = set()
    for rec in re.extctl:
        if id(rec.rc) in seen:
            raise InvariantError(8, f"{rec.rc} wants {re} twice")
        seen.add(id(rec.rc))


def _check_device_trees(fs_info: FsInfo, re: ReadaExtent) -> None:
    takes_all = not fs_info.behaviour.knows_replace
    index = re.logical >> PAGE_SHIFT
    inserted = 0
    for zone in re.zones:
        dev = zone.device
        if dev.reada_extents.lookup(index) is re:
            inserted += 1
        elif takes_all or (dev.bdev and not dev.no_reada and not dev.replace_target):
            raise InvariantError(3, f"{re} is not in the tree of {dev}")
    if not inserted:
        raise InvariantError(3, f"{re} is in no device's tree")


def _check_extents_of(fs_info: FsInfo, dev: BtrfsDevice) -> None:
    for index, re in dev.reada_extents:
        if fs_info.reada_tree.lookup(index) is not re:
            raise InvariantError(2, f"{re} is in the tree of {dev}, but not in the file system's")
        if all(zone.device is not dev for zone in re.zones):
            raise InvariantError(2, f"{re} is in the tree of {dev}, but has no zone there")


def _check_zones_of(dev: BtrfsDevice) -> None:
    behind = 0
    for index, zone in dev.reada_zones:
        if index != zone.end >> PAGE_SHIFT or not zone.alive:
            raise InvariantError(1, f"{zone} is at page {index}, {'live' if zone.alive else 'freed'}")
        if zone.device is not dev:
            raise InvariantError(4, f"{zone} is in the tree of {dev}")
        if zone.start > zone.end or zone.start < behind:
            raise InvariantError(4, f"{zone} ends before it begins, or begins before byte {behind}")
        behind = zone.end + 1


def _check_current(dev: BtrfsDevice) -> None:
    zone = dev.reada_curr_zone
    if zone is not None and dev.reada_zones.lookup(zone.end >> PAGE_SHIFT) is not zone:
        raise InvariantError(7, f"{zone} is current on {dev}, but not one of its zones")


def _check_elements(fs_info: FsInfo) -> None:
    """Extents are counted before they come into the trees and after they left: none goes uncounted."""
    counted = Counter(id(zone) for _, re in fs_info.reada_tree for zone in re.zones)
    for zone in _zones(fs_info.devices.values()):
        if zone.elems < counted[id(zone)]:
            raise InvariantError(5, f"{zone} has {zone.elems} elements, but {counted[id(zone)]} are queued")


def _check_lock(fs_info: FsInfo, zone: ReadaZone) -> None:
    if not zone.locked:
        return
    for dev in fs_info.devices.values():
        current = dev.reada_curr_zone
        if dev is zone.device or current is None or current.end != zone.end:
            continue
        if zone.device in current.devs:
            return
    raise InvariantError(6, f"{zone} is locked, but no other device reads there")


def _check_existence(fs_info: FsInfo) -> None:
    if len(fs_info.extents) != len(fs_info.reada_tree):
        raise InvariantError(
            15, f"there are {len(fs_info.extents)} extents, {len(fs_info.reada_tree)} of them in the tree"
        )
    in_trees = sum(len(dev.reada_zones) for dev in fs_info.devices.values())
    if len(fs_info.zones) != in_trees:
        raise InvariantError(15, f"there are {len(fs_info.zones)} zones, {in_trees} of them in trees")
    counted = Counter(id(zone) for _, re in fs_info.reada_tree for zone in re.zones)
    for zone in _zones(fs_info.devices.values()):
        if zone.elems != counted[id(zone)]:
            raise InvariantError(5, f"{zone} has {zone.elems} elements, but {counted[id(zone)]} are queued")


def _check_references(extents: list[ReadaExtent]) -> None:
    for re in extents:
        if re.refcnt != len(re.extctl) or not re.refcnt:
            raise InvariantError(9, f"{re} has {re.refcnt} references and {len(re.extctl)} extctls")


def _check_controls(fs_info: FsInfo, extents: list[ReadaExtent]) -> None:
    wanted = Counter(id(rec.rc) for re in extents for rec in re.extctl)
    if len(fs_info.extctls) != wanted.total():
        raise InvariantError(10, f"there are {len(fs_info.extctls)} extctls, {wanted.total()} at extents")
    for rc in fs_info.live_controls():
        if rc.elems != wanted[id(rc)]:
            raise InvariantError(10, f"{rc} has {rc.elems} elements, but wants {wanted[id(rc)]} extents")
        # In the seed one whose root could not be queued keeps the reference for elements that never were.
        least = 1 if rc.elems else 0
        most = least + 1 if rc.elems or fs_info.behaviour.add_can_fail else 2
        if not max(least, 1) <= rc.refcnt <= most:
            raise InvariantError(11, f"{rc} has {rc.elems} elements and {rc.refcnt} references")


def _check_zone_references(fs_info: FsInfo) -> None:
    for zone in _zones(fs_info.devices.values()):
        due = (zone.elems > 0) + (zone.device.reada_curr_zone is zone)
        if zone.refcnt != due:
            raise InvariantError(12, f"{zone} has {zone.refcnt} references, not {due}")


def _check_in_flight(fs_info: FsInfo, extents: list[ReadaExtent]) -> None:
    scheduled = Counter(re.scheduled_for.devid for re in extents if re.scheduled_for is not None)
    for dev in fs_info.devices.values():
        due = scheduled[dev.devid] if fs_info.behaviour.in_flight_until_completion else 0
        if dev.reada_in_flight != due:
            raise InvariantError(13, f"{dev} has {dev.reada_in_flight} in flight, not {due}")
    for re in extents:
        if re.scheduled_for is not None and not fs_info.reads.page_locked(re.logical):
            raise InvariantError(14, f"{re} is scheduled for {re.scheduled_for}, but is not being read")


def _check_works(fs_info: FsInfo) -> None:
    if fs_info.readahead_workers != fs_info.reada_works_cnt:
        raise InvariantError(
            16, f"{fs_info.readahead_workers} works are queued, {fs_info.reada_works_cnt} counted"
        )
    if fs_info.device_list_mutex.locked:
        raise InvariantError(17, "device_list_mutex is held, but nobody is at work")
