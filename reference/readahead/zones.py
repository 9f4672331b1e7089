# SPDX-License-Identifier: GPL-2.0-or-later
"""Zones: made where a block needs one, freed when nothing is in them and no device stands in them."""

from __future__ import annotations

from reference.machine import Steps
from reference.readahead.radix import PAGE_SHIFT
from reference.readahead.source import Mapping
from reference.readahead.structs import READA_LOCK, ZONE_LOCK, BtrfsDevice, FsInfo, ReadaExtent, ReadaZone

__all__ = ["enter_zone", "kref_put_zone", "leave_zones", "reada_find_zone"]


def reada_find_zone(
    fs_info: FsInfo, dev: BtrfsDevice, logical: int, multi: Mapping
) -> Steps[ReadaZone | None]:
    """Return the zone of `dev` with `logical`, made if need be, with a reference for the caller.

    None if no block group has `logical`, or if another zone has the new one's end (`reada_find_zone`).
    """
    yield READA_LOCK
    zone = _lookup(fs_info, dev, logical)
    if zone is not None:
        return zone
    cache = fs_info.source.lookup_block_group(logical)
    if cache is None:
        return None
    devs = [fs_info.devices[stripe.devid] for stripe in multi.stripes]
    zone = ReadaZone(cache.start, cache.start + cache.length - 1, dev, devs)
    yield READA_LOCK
    if dev.reada_zones.insert(zone.end >> PAGE_SHIFT, zone):
        fs_info.zones.born(zone)
        return zone
    return _lookup(fs_info, dev, logical)


def _lookup(fs_info: FsInfo, dev: BtrfsDevice, logical: int) -> ReadaZone | None:
    """Return the zone with `logical`, with a reference. Called with reada_lock held."""
    zone = dev.reada_zones.gang_lookup(logical >> PAGE_SHIFT)
    if zone is None or not zone.start <= logical <= zone.end:
        return None
    fs_info.zones.check(zone)
    zone.refcnt += 1
    return zone


def enter_zone(fs_info: FsInfo, re: ReadaExtent, zone: ReadaZone) -> Steps[None]:
    """Count `re` in `zone`; the caller's reference goes (the loop of `reada_find_extent`)."""
    re.zones.append(zone)
    yield ZONE_LOCK
    if not zone.elems:
        zone.refcnt += 1
    zone.elems += 1
    yield READA_LOCK
    kref_put_zone(fs_info, zone)


def leave_zones(fs_info: FsInfo, re: ReadaExtent) -> Steps[None]:
    """Count `re` out of its zones (the ends of `reada_find_extent` and `reada_extent_put`)."""
    for zone in re.zones:
        fs_info.zones.check(zone)
        zone.refcnt += 1
        yield ZONE_LOCK
        zone.elems -= 1
        if zone.elems == 0:
            kref_put_zone(fs_info, zone)
        yield READA_LOCK
        kref_put_zone(fs_info, zone)


def kref_put_zone(fs_info: FsInfo, zone: ReadaZone) -> None:
    """Drop a reference; with the last, the zone is gone (`reada_zone_release`). reada_lock is held."""
    fs_info.zones.check(zone)
    zone.refcnt -= 1
    if zone.refcnt == 0:
        zone.device.reada_zones.delete(zone.end >> PAGE_SHIFT)
        fs_info.zones.died(zone)
