# SPDX-License-Identifier: GPL-2.0-or-later
"""All checks of a cache device, in the order in which the kernel would read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from harness.bcache.buckets import Buckets, Use, read_prios
from harness.bcache.device import Device, UnreadableError
from harness.bcache.findings import Findings, Invariant, Place
from harness.bcache.journal import Journal, read_journal
from harness.bcache.tree import Tree, walk
from reference.bcache.bkey import Bkey, Position, max_key, ptr_offset
from reference.bcache.geometry import SECTOR
from reference.bcache.live_map import LiveMap
from reference.bcache.ondisk import Jset, UuidEntry
from reference.bcache.superblock import CacheSb, complaint_about

__all__ = ["CheckedCache", "check_cache"]

INVALID_UUID = bytes.fromhex("a03ef8ed3ee1b878c850fc5ecb16cd99")
"""In place of the UUID of a device that was detached (`invalid_uuid`, super.c)."""


@dataclass
class CheckedCache:
    """A cache device as far as it could be read, and what is wrong with it."""

    sb: CacheSb
    findings: Findings = field(default_factory=Findings)
    journal: Journal | None = None
    buckets: Buckets | None = None
    uuids: list[UuidEntry] = field(default_factory=list)
    tree: Tree | None = None
    live: list[Bkey] = field(default_factory=list)
    """The extents after the replay of the journal, in order, those in reused buckets left out."""
    replayed: int = 0
    """How many keys of the journal were applied."""

    @property
    def unused(self) -> bool:
        """Whether the cache was formatted and never used: the kernel would begin with an empty one."""
        return not self.sb.sync


def check_cache(device: Device, sb: CacheSb, complaint: str | None) -> CheckedCache:
    """Check the cache device with superblock `sb`, about which the kernel has a `complaint`, or none.

    Raises nothing for damage of any kind: that is what the findings are for. A superblock that the kernel
    refuses for its checksum alone is believed.
    """
    checked = CheckedCache(sb)
    if complaint:
        checked.findings.add(Invariant.SUPERBLOCK, Place("superblock"), complaint)
        if not _is_believable(device, sb, complaint):
            # With the sizes in doubt nothing else would be found where it is.
            return checked
    if checked.unused:
        return checked
    checked.journal = read_journal(device, sb, checked.findings)
    if checked.journal is None:
        return checked
    newest = checked.journal.newest
    place = checked.journal.entries[-1].place
    checked.buckets = read_prios(device, sb, newest.prio_bucket[sb.nr_this_dev], checked.findings)
    for bucket in sb.d:
        checked.buckets.use(bucket, Use.JOURNAL, Place("journal", bucket), checked.findings)
    checked.uuids = _read_uuids(device, checked.buckets, newest, place, checked.findings)
    checked.tree = _read_tree(device, checked.buckets, sb, newest, place, checked.findings)
    _take_live(checked, checked.buckets, checked.journal)
    return checked


def _is_believable(device: Device, sb: CacheSb, complaint: str) -> bool:
    """Whether nothing but the checksum of the superblock is wrong."""
    if complaint != "Bad checksum" or sb.is_bdev:
        return False
    return complaint_about(replace(sb, csum=sb.computed_csum), device.size // SECTOR) is None


def _read_uuids(
    device: Device, buckets: Buckets, newest: Jset, place: Place, findings: Findings
) -> list[UuidEntry]:
    """`uuid_read`, super.c. The uuids have no checksum."""
    geometry, k = buckets.geometry, newest.uuid_bucket
    if bad := geometry.btree_ptr_status(k):
        findings.add(Invariant.UUIDS, place, f"bad uuid pointer {k}: {bad}")
        return []
    bucket = geometry.bucket_of(k.ptr[0])
    where = Place("uuids", bucket)
    buckets.use(bucket, Use.UUIDS, where, findings)
    try:
        data = device.read(ptr_offset(k.ptr[0]) * SECTOR, min(k.size * SECTOR, geometry.meta_bucket_bytes))
    except UnreadableError as error:
        findings.add(Invariant.READABLE, where, str(error))
        return []
    uuids = [UuidEntry.from_bytes(data, offset) for offset in range(0, len(data) - 127, 128)]
    seen: dict[bytes, int] = {}
    for slot, entry in enumerate(uuids):
        if not any(entry.uuid) or entry.uuid == INVALID_UUID:
            continue
        if (before := seen.setdefault(entry.uuid, slot)) != slot:
            findings.add(Invariant.UUIDS, where, f"device {slot} has the UUID of device {before}")
    return uuids


def _read_tree(
    device: Device, buckets: Buckets, sb: CacheSb, newest: Jset, place: Place, findings: Findings
) -> Tree | None:
    """The root as `run_cache_set` takes it, and all below it."""
    root = newest.btree_root
    if bad := buckets.geometry.btree_ptr_status(root):
        findings.add(Invariant.ROOT, place, f"bad btree root {root}: {bad}")
        return None
    if root.position != max_key().position:
        findings.add(Invariant.ROOT, place, f"the root {root} does not go up to the largest key")
    if stale := buckets.stale(root):
        findings.add(Invariant.ROOT, place, f"the root {root} lies in a bucket reused {stale} times since")
    return walk(device, buckets, sb.set_magic, root, newest.btree_level, findings)


@dataclass(frozen=True)
class _Replay:
    """What the replay of the journal came upon, and where its keys were."""

    before: LiveMap
    places: dict[Position, Place]

    def hides(self, k: Bkey, buckets: Buckets) -> list[Bkey]:
        """Return the dirty extents that were there before where a stale key is now."""
        there = self.before.overlapping(k.start_position, k.position)
        return [found for found in there if found.dirty and found.ptr and not buckets.stale(found)]


def _take_live(checked: CheckedCache, buckets: Buckets, journal: Journal) -> None:
    """Replay the journal over the tree (`bch_journal_replay`) and keep what points to data that are there."""
    findings = checked.findings
    live = checked.tree.live if checked.tree else LiveMap()
    replayed = journal.keys(buckets.geometry, findings)
    replay = _Replay(live.copy(), {})
    for k, place in replayed:
        if k.ptr:
            buckets.adopt(k, place, findings, False)
        live.insert(k.copy())
        replay.places[k.position] = place
    checked.replayed = len(replayed)
    checked.live = list(_with_data(live, buckets, replay, findings))
    in_tree = Place("extents")
    _check_devices(checked, findings)
    buckets.use_data(((k, replay.places.get(k.position, in_tree)) for k in checked.live), findings)
    _check_shared(checked.live, findings)


def _with_data(live: Iterable[Bkey], buckets: Buckets, replay: _Replay, findings: Findings) -> Iterator[Bkey]:
    """Yield the extents whose data are in the cache: `bch_extent_bad`, extents.c."""
    for k in live:
        if not k.ptr or not all(map(buckets.geometry.available, k.ptr)):
            continue
        stale = buckets.stale(k)
        if not stale:
            yield k
        elif k.dirty and k.position in replay.places:
            hidden = replay.hides(k, buckets)
            invariant = Invariant.STALE_DIRTY if hidden else Invariant.STALE_DIRTY_REPLAYED
            what = f", takes the place of {hidden[0]}: data are lost" if hidden else ""
            findings.add(invariant, replay.places[k.position], f"{k}: {stale} gens behind{what}")
        elif k.dirty:
            bucket = buckets.geometry.bucket_of(k.ptr[0])
            findings.add(
                Invariant.STALE_DIRTY,
                Place("extents", bucket),
                f"{k}: dirty, and its bucket was reused {stale} times: data are lost",
            )


def _check_devices(checked: CheckedCache, findings: Findings) -> None:
    sectors: dict[int, int] = {}
    for k in checked.live:
        sectors[k.inode] = sectors.get(k.inode, 0) + k.size
    if not checked.uuids:
        return
    for inode, count in sectors.items():
        place = Place(f"device {inode}")
        if inode >= len(checked.uuids) or not any(checked.uuids[inode].uuid):
            findings.add(Invariant.KNOWN_DEVICE, place, f"{count} sectors of a device that has no UUID")
        elif checked.uuids[inode].uuid == INVALID_UUID:
            findings.add(Invariant.FORGOTTEN_DEVICE, place, f"{count} sectors of a device that was detached")


def _check_shared(extents: list[Bkey], findings: Findings) -> None:
    """Find extents that lie in the same sectors of the cache."""
    by_sector = sorted((ptr_offset(ptr), k.size, number) for number, k in enumerate(extents) for ptr in k.ptr)
    reached, holder = 0, -1
    for sector, size, number in by_sector:
        if sector < reached and number != holder:
            message = f"{extents[number]} lies where {extents[holder]} does"
            findings.add(Invariant.DATA_SHARED, Place("extents"), message)
        if sector + size > reached:
            reached, holder = sector + size, number
