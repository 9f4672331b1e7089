# SPDX-License-Identifier: GPL-2.0-or-later
"""Small cache devices made in memory: sound ones, and the parts to break them with."""

from __future__ import annotations

import lzma
import struct
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from harness.bcache.check import CheckedCache, check_cache
from harness.bcache.device import Bytes, cache_superblock
from reference.bcache.bkey import MAX_KEY_INODE, MAX_KEY_OFFSET, Bkey, key, make_ptr
from reference.bcache.crc64 import U64_MAX, bch_crc64
from reference.bcache.geometry import SECTOR, Geometry
from reference.bcache.ondisk import (
    BSET_HEADER,
    BSET_MAGIC,
    JSET_MAGIC,
    PSET_MAGIC,
    BsetHeader,
    Jset,
    PrioSet,
    UuidEntry,
    pack_bset,
)
from reference.bcache.superblock import SB_OFFSET_BYTES, CacheSb, SbVersion

__all__ = [
    "END",
    "FIXTURES",
    "SET_UUID",
    "Image",
    "NodeImage",
    "checked",
    "fixture",
    "reseal_bset",
    "small_image",
]

FIXTURES = Path(__file__).parents[2] / "suites" / "data" / "bcache"
SET_UUID = bytes(range(0x10, 0x20))
END = (MAX_KEY_INODE, MAX_KEY_OFFSET)
"""The position of the largest key."""
JOURNAL_BUCKETS = 4
ROOT, LEFT, RIGHT, FREED, PRIOS, UUIDS, DATA = 20, 21, 22, 23, 30, 50, 60
"""Buckets of the small image; the prio sets take as many as they need."""


@dataclass
class NodeImage:
    """A node to be written: what its bsets hold, oldest first."""

    key: Bkey
    bsets: list[list[Bkey]]
    seq: int = 0x1234
    version: int = 1


@dataclass
class Image:
    """A cache device to be written; tests change what they like before `pack`."""

    sb: CacheSb
    gens: bytearray
    nodes: dict[int, NodeImage] = field(default_factory=dict)
    """By bucket."""
    jsets: list[list[Jset]] = field(default_factory=list)
    """By journal bucket, each one after the other."""
    uuids: list[UuidEntry] = field(default_factory=list)
    uuid_bucket: int = UUIDS
    prio_buckets: list[int] = field(default_factory=list)
    prio_seqs: list[int] = field(default_factory=list)
    prio_sets: dict[int, PrioSet] = field(default_factory=dict)
    """In place of what follows from the gens."""

    @property
    def geometry(self) -> Geometry:
        """The sizes of the device."""
        return Geometry.of(self.sb)

    def pack(self) -> bytearray:
        """Return the bytes of the device."""
        geometry = self.geometry
        bucket_bytes = geometry.bucket_size * SECTOR
        data = bytearray(bucket_bytes * geometry.nbuckets)
        data[SB_OFFSET_BYTES : SB_OFFSET_BYTES + 4096] = self.sb.pack()
        for bucket, jsets in zip(self.sb.d, self.jsets, strict=False):
            _put(data, bucket * bucket_bytes, [jset.pack() for jset in jsets], geometry.block_bytes)
        for number, bucket in reversed(list(enumerate(self.prio_buckets))):
            packed = self.prio_set(number).pack(geometry.meta_bucket_bytes)
            data[bucket * bucket_bytes : bucket * bucket_bytes + len(packed)] = packed
        _put(data, self.uuid_bucket * bucket_bytes, [b"".join(entry.pack() for entry in self.uuids)], 1)
        magic = self.sb.set_magic ^ BSET_MAGIC
        for bucket, node in self.nodes.items():
            packed_sets = [
                pack_bset(keys, magic, node.seq, node.key.ptr[0], node.version) for keys in node.bsets
            ]
            _put(data, bucket * bucket_bytes, packed_sets, geometry.block_bytes)
        return data

    def prio_set(self, number: int) -> PrioSet:
        """Return a prio set: the one that a test put in its place, or what follows from the gens."""
        if number in self.prio_sets:
            return self.prio_sets[number]
        each = self.geometry.prios_per_bucket
        gens = bytes(self.gens[number * each : (number + 1) * each])
        after = [*self.prio_buckets, 0][number + 1]
        return PrioSet(
            self.sb.set_magic ^ PSET_MAGIC, self.prio_seqs[number], after, (32768,) * len(gens), gens
        )

    def jset(self, seq: int, last_seq: int, keys: list[Bkey]) -> Jset:
        """Return an entry that points to the small image's root, uuids and prios."""
        return Jset(
            magic=self.sb.set_magic ^ JSET_MAGIC,
            seq=seq,
            last_seq=last_seq,
            uuid_bucket=key(0, 0, 8, [self.ptr(UUIDS)]),
            btree_root=self.nodes[ROOT].key,
            btree_level=1,
            prio_bucket=(self.prio_buckets[0], *[0] * 7),
            words=tuple(word for k in keys for word in k.words()),
        )

    def ptr(self, bucket: int, sector: int = 0) -> int:
        """Return a pointer into a bucket, with its gen."""
        return make_ptr(self.gens[bucket], bucket * self.geometry.bucket_size + sector, 0)

    def extent(self, offset: int, size: int, bucket: int, sector: int = 0, *, dirty: bool = False) -> Bkey:
        """Return an extent of device 0 that ends at `offset`."""
        return key(0, offset, size, [self.ptr(bucket, sector)], dirty)

    def node_key(self, position: tuple[int, int], bucket: int) -> Bkey:
        """Return the key of a node in `bucket`."""
        return key(*position, self.geometry.btree_pages * 8, [self.ptr(bucket)])


def small_image(nbuckets: int = 160) -> Image:
    """Return a sound device: a root of two leaves, one of them in two bsets; a freed node; keys to replay.

    Buckets of 4 KiB, blocks of 512 bytes.
    """
    sb = CacheSb(
        version=SbVersion.CDEV_WITH_UUID,
        uuid=bytes(range(1, 17)),
        set_uuid=SET_UUID,
        flags=1,
        nbuckets=nbuckets,
        block_size=1,
        raw_bucket_size=8,
        first_bucket=2,
    ).with_journal(JOURNAL_BUCKETS)
    image = Image(sb, bytearray(bucket % 250 for bucket in range(nbuckets)))
    image.prio_buckets = list(range(PRIOS, PRIOS + image.geometry.prio_buckets))
    image.prio_seqs = [9] * len(image.prio_buckets)
    image.uuids = [UuidEntry(bytes([7] * 16)), UuidEntry(bytes([8] * 16))]
    left, right = image.node_key((0, 1000), LEFT), image.node_key(END, RIGHT)
    # Its bucket's new gen is only here, as after make_btree_freeing_key.
    freed = key(0, 0, 8, [image.ptr(FREED) + 1])
    image.nodes[ROOT] = NodeImage(image.node_key(END, ROOT), [[freed, left, right]])
    older = [image.extent(100 * n, 8, DATA + n, dirty=n % 2 == 0) for n in range(1, 11)]
    newer = [image.extent(104, 6, DATA + 20), key(0, 304, 4), image.extent(600, 8, DATA + 21)]
    image.nodes[LEFT] = NodeImage(left, [older, newer])
    image.nodes[RIGHT] = NodeImage(right, [[image.extent(2000 + 8 * n, 8, DATA + 30 + n) for n in range(5)]])
    keys = [image.extent(1504, 8, DATA + 40, dirty=True), image.extent(2004, 4, DATA + 41)]
    jsets = [image.jset(5, 5, keys[:1]), image.jset(6, 5, keys[1:]), image.jset(7, 5, [])]
    image.jsets = [[image.jset(4, 4, []), jsets[0]], jsets[1:]]
    return image


def checked(data: bytes | bytearray) -> CheckedCache:
    """Check a device in memory."""
    device = Bytes(data)
    return check_cache(device, *cache_superblock(device, "image"))


def reseal_bset(data: bytearray, offset: int, first_ptr: int) -> None:
    """Give the bset at byte `offset` the checksum that goes with what it now says."""
    header = BsetHeader.from_bytes(bytes(data[offset : offset + BSET_HEADER]))
    body = bytes(data[offset + 8 : offset + BSET_HEADER + header.keys * 8])
    struct.pack_into("<Q", data, offset, bch_crc64(body, first_ptr if header.version else U64_MAX))


@cache
def fixture(name: str) -> bytes:
    """Return an image from a real kernel; where data were, it has zeros."""
    return lzma.decompress((FIXTURES / f"{name}.img.xz").read_bytes())


def _put(data: bytearray, offset: int, parts: list[bytes], unit: int) -> None:
    for part in parts:
        data[offset : offset + len(part)] = part
        offset += -(-len(part) // unit) * unit
