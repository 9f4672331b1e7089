# SPDX-License-Identifier: GPL-2.0-or-later
"""Extents: a block is in the trees of the file system and of its devices from first wanted to last hook."""

from __future__ import annotations

from reference.machine import Steps
from reference.readahead.radix import PAGE_SHIFT
from reference.readahead.source import Key, Mapping
from reference.readahead.structs import (
    ATOMIC,
    RE_LOCK,
    READA_LOCK,
    BtrfsDevice,
    FsInfo,
    ReadaControl,
    ReadaExtctl,
    ReadaExtent,
)
from reference.readahead.zones import enter_zone, leave_zones, reada_find_zone

__all__ = ["reada_add_block", "reada_extent_put", "reada_find_extent"]


def reada_add_block(
    fs_info: FsInfo, rc: ReadaControl, logical: int, top: Key, generation: int
) -> Steps[bool]:
    """Want the block at `logical` for `rc`; False, the C's -1, if it cannot be read ahead.

    `top` is the key at which the next block of the level begins, `generation` the one the block is to have.
    """
    fs_info.observer.entered("reada_add_block", rc, logical, generation)
    re = yield from reada_find_extent(fs_info, logical, top)
    if re is None:
        fs_info.observer.returned("reada_add_block", -1, rc, logical)
        return False
    rec = ReadaExtctl(rc, generation)
    fs_info.extctls.born(rec)
    yield ATOMIC
    fs_info.controls.check(rc)
    rc.elems += 1
    yield RE_LOCK
    fs_info.extents.check(re)
    re.extctl.append(rec)
    fs_info.observer.queued(rc, re)
    fs_info.observer.returned("reada_add_block", 0, rc, logical)
    return True


def reada_find_extent(fs_info: FsInfo, logical: int, top: Key) -> Steps[ReadaExtent | None]:
    """Return the extent at `logical`, made if need be, with a reference for the caller; or None."""
    yield READA_LOCK
    re = _lookup(fs_info, logical)
    if re is not None:
        return re
    multi = fs_info.source.map_block(logical)
    if multi is None or multi.length < fs_info.source.nodesize:
        return None
    if len(multi.stripes) > fs_info.behaviour.max_mirrors:
        return None
    re = ReadaExtent(logical, top)
    fs_info.extents.born(re)
    yield from _find_zones(fs_info, re, multi)
    exists = False
    other: ReadaExtent | None = None
    if re.zones:
        yield READA_LOCK
        exists = fs_info.reada_tree.lookup(logical >> PAGE_SHIFT) is not None
        if not exists and _insert(fs_info, re):
            return re
        if exists and not fs_info.behaviour.looks_again_late:
            other = _lookup(fs_info, logical)
    yield from leave_zones(fs_info, re)
    fs_info.extents.died(re)
    if exists and fs_info.behaviour.looks_again_late:
        yield READA_LOCK
        other = _lookup(fs_info, logical)
    return other


def _lookup(fs_info: FsInfo, logical: int) -> ReadaExtent | None:
    """Return the extent at `logical` with a reference, or None. Called with reada_lock held."""
    re = fs_info.reada_tree.lookup(logical >> PAGE_SHIFT)
    if re is not None:
        fs_info.extents.check(re)
        re.refcnt += 1
    return re


def _find_zones(fs_info: FsInfo, re: ReadaExtent, multi: Mapping) -> Steps[None]:
    behaviour = fs_info.behaviour
    targets = multi.num_tgtdevs if behaviour.knows_replace else 0
    for stripe in multi.stripes[: len(multi.stripes) - targets]:
        dev = fs_info.devices[stripe.devid]
        if not dev.bdev and not behaviour.reads_missing_devices:
            continue
        zone = yield from reada_find_zone(fs_info, dev, re.logical, multi)
        if zone is not None:
            yield from enter_zone(fs_info, re, zone)
        elif behaviour.stops_at_zoneless_copy:
            return


def _insert(fs_info: FsInfo, re: ReadaExtent) -> bool:
    """Put `re` into the file system's tree and those of its devices: all, or none and False.

    Called with reada_lock held (the second half of `reada_find_extent`).
    """
    index = re.logical >> PAGE_SHIFT
    fs_info.reada_tree.insert(index, re)
    inserted: list[BtrfsDevice] = []
    for zone in re.zones:
        dev = zone.device
        if not _takes(fs_info, dev, inserted[-1] if inserted else None):
            continue
        if not dev.reada_extents.insert(index, re):
            _take_out(fs_info, index, inserted)
            return False
        inserted.append(dev)
    if not inserted:
        _take_out(fs_info, index, inserted)
    return bool(inserted)


def _takes(fs_info: FsInfo, dev: BtrfsDevice, previous: BtrfsDevice | None) -> bool:
    behaviour = fs_info.behaviour
    if dev is previous and not behaviour.dup_meets_eexist:
        return False
    if not dev.bdev and not behaviour.reads_missing_devices:
        return False
    return not (behaviour.knows_replace and (dev.no_reada or dev.replace_target))


def _take_out(fs_info: FsInfo, index: int, devices: list[BtrfsDevice]) -> None:
    for dev in devices:
        dev.reada_extents.delete(index)
    fs_info.reada_tree.delete(index)


def reada_extent_put(fs_info: FsInfo, re: ReadaExtent) -> Steps[None]:
    """Drop a reference; with the last, the extent leaves all trees and its zones."""
    fs_info.observer.entered("reada_extent_put", re.logical)
    yield READA_LOCK
    fs_info.extents.check(re)
    re.refcnt -= 1
    if re.refcnt:
        return
    _take_out(fs_info, re.logical >> PAGE_SHIFT, [zone.device for zone in re.zones])
    yield from leave_zones(fs_info, re)
    if fs_info.behaviour.in_flight_until_completion and re.scheduled_for is not None:
        re.scheduled_for.reada_in_flight -= 1
    fs_info.extents.died(re)
