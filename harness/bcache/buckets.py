# SPDX-License-Identifier: GPL-2.0-or-later
"""The gens of all buckets, as the prio sets have them, and what each bucket turns out to hold."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from harness.bcache.device import Device, UnreadableError
from harness.bcache.findings import Findings, Invariant, Place
from reference.bcache.bkey import Bkey, ptr_gen
from reference.bcache.geometry import BUCKET_GC_GEN_MAX, SECTOR, Geometry, gen_after
from reference.bcache.ondisk import PSET_MAGIC, PrioSet
from reference.bcache.superblock import CacheSb

__all__ = ["Buckets", "Use", "read_prios"]


class Use(Enum):
    """What a bucket holds."""

    JOURNAL = "journal"
    PRIOS = "prios"
    UUIDS = "uuids"
    NODE = "btree node"
    DATA = "data"


class Buckets:
    """Gens and uses of the buckets of a cache device."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.gens = bytearray()
        """By bucket; shorter than the device when the prio sets are damaged."""
        self.seq: int | None = None
        """Of the prio sets."""
        self.uses: dict[int, Use] = {}
        """Of the buckets that something points into."""

    def gen(self, bucket: int) -> int | None:
        """Return the gen of a bucket, None when it is not known."""
        return self.gens[bucket] if bucket < len(self.gens) else None

    def stale(self, k: Bkey) -> int:
        """Return by how much the furthest pointer of a valid key is behind its bucket, 0 if none is."""
        return max((self.ptr_stale(ptr) for ptr in k.ptr if self.geometry.available(ptr)), default=0)

    def ptr_stale(self, ptr: int) -> int:
        """Return by how much a valid pointer is behind its bucket; of unknown gens nothing is stale."""
        gen = self.gen(self.geometry.bucket_of(ptr))
        return 0 if gen is None else gen_after(gen, ptr_gen(ptr))

    def adopt(self, k: Bkey, place: Place, findings: Findings, freed: bool) -> None:
        """Let buckets have the gens of pointers that are newer: `bch_initial_mark_key`, btree.c.

        That is how a freed node shows (`make_btree_freeing_key`): its bucket's new gen stands in the parent
        until the prio sets are written. No other pointer can be newer than its bucket.
        """
        for ptr in k.ptr:
            if not self.geometry.available(ptr):
                continue
            bucket = self.geometry.bucket_of(ptr)
            gen = self.gen(bucket)
            if gen is None or gen == ptr_gen(ptr):
                continue
            stale = gen_after(gen, ptr_gen(ptr))
            if stale > BUCKET_GC_GEN_MAX:
                findings.add(Invariant.TOO_STALE, place, f"{k}: {stale} gens behind bucket {bucket}")
            if stale:
                continue
            self.gens[bucket] = ptr_gen(ptr)
            if not freed:
                findings.add(
                    Invariant.FUTURE_GEN, place, f"{k}: bucket {bucket} is at gen {gen}, which is older"
                )

    def use(self, bucket: int, use: Use, place: Place, findings: Findings) -> bool:
        """Note what a bucket holds; False, with a finding, when it holds something else already."""
        before = self.uses.setdefault(bucket, use)
        if before is use:
            return True
        findings.add(Invariant.METADATA_SHARED, place, f"bucket {bucket} holds {before.value} as well")
        return False

    def use_data(self, extents: Iterable[tuple[Bkey, Place]], findings: Findings) -> None:
        """Note the buckets of extents that are in use."""
        for k, place in extents:
            for ptr in k.ptr:
                if self.geometry.available(ptr):
                    self.use(self.geometry.bucket_of(ptr), Use.DATA, place, findings)


def read_prios(device: Device, sb: CacheSb, first: int, findings: Findings) -> Buckets:
    """Follow the prio sets from bucket `first` on: `prio_read`, super.c.

    Unlike the kernel, which starts no set whose prios are damaged, it goes on where it can.
    """
    geometry = Geometry.of(sb)
    buckets = Buckets(geometry)
    bucket = first
    for number in range(geometry.prio_buckets):
        place = Place("prios", bucket)
        if not geometry.first_bucket <= bucket < geometry.nbuckets:
            findings.add(Invariant.PRIO_CHAIN, place, f"prio set {number} is not in the cache")
            break
        if buckets.uses.get(bucket) is Use.PRIOS:
            findings.add(Invariant.PRIO_CHAIN, place, f"prio set {number} is one that was there before")
            break
        buckets.use(bucket, Use.PRIOS, place, findings)
        prio_set = _read_set(device, geometry, sb.set_magic ^ PSET_MAGIC, place, findings)
        if prio_set is None:
            break
        if buckets.seq is None:
            buckets.seq = prio_set.seq
        elif buckets.seq != prio_set.seq:
            findings.add(
                Invariant.PRIO_SEQ, place, f"its number is {prio_set.seq}, of the first {buckets.seq}"
            )
        buckets.gens += prio_set.gens[: geometry.nbuckets - len(buckets.gens)]
        bucket = prio_set.next_bucket
    return buckets


def _read_set(
    device: Device, geometry: Geometry, magic: int, place: Place, findings: Findings
) -> PrioSet | None:
    """Return a prio set, or None when it cannot be relied on."""
    assert place.bucket is not None
    try:
        data = device.read(place.bucket * geometry.bucket_size * SECTOR, geometry.meta_bucket_bytes)
    except UnreadableError as error:
        findings.add(Invariant.READABLE, place, str(error))
        return None
    found = PrioSet.from_bytes(data)
    if found.csum != found.computed_csum:
        why = f"checksum {found.csum:#x}, computed {found.computed_csum:#x}"
        findings.add(Invariant.PRIO_CSUM, place, f"{why}: the kernel does not start the set")
        return None
    if found.magic != magic:
        findings.add(Invariant.PRIO_MAGIC, place, f"magic {found.magic:#x} instead of {magic:#x}")
        return None
    return found
