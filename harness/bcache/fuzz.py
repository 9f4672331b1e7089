# SPDX-License-Identifier: GPL-2.0-or-later
"""Garbage for the checker: images changed at random, most of them with checksums that fit again."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.bcache.check import CheckedCache, check_cache
from harness.bcache.device import Bytes, cache_superblock
from harness.bcache.testing import checked
from harness.errors import UserError
from reference.bcache.crc64 import U64_MAX, bch_crc64
from reference.bcache.geometry import SECTOR
from reference.bcache.ondisk import JSET_HEADER
from reference.bcache.superblock import FIELDS, SB_OFFSET_BYTES

__all__ = ["Counted", "Structure", "fuzz", "structures"]

WORDS = (0, 1, 7, 8, 0x7F, 0xFF, 0xFFFF, 1 << 20, (1 << 31) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, U64_MAX)
"""Numbers that are apt to be wrong."""


class Counted(Bytes):
    """A device in memory that counts what is read of it: a checker that goes on for ever reads for ever."""

    read_bytes = 0

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`."""
        self.read_bytes += length
        return super().read(offset, length)


@dataclass(frozen=True)
class Structure:
    """Something with a checksum in its first 8 bytes."""

    offset: int
    length: int
    seed: int = U64_MAX

    def reseal(self, data: bytearray) -> None:
        """Make the checksum fit again."""
        body = bytes(data[self.offset + 8 : self.offset + self.length])
        struct.pack_into("<Q", data, self.offset, bch_crc64(body, self.seed))


def structures(data: bytes | bytearray) -> list[Structure]:
    """Return where a sound image has its structures."""
    found = checked(data)
    assert not found.findings
    return list(_structures(found))


def _structures(found: CheckedCache) -> Iterator[Structure]:
    assert found.journal
    assert found.buckets
    assert found.tree
    geometry = found.buckets.geometry
    bucket_bytes = geometry.bucket_size * SECTOR
    yield Structure(SB_OFFSET_BYTES, FIELDS.size + 8 * found.sb.keys)
    for entry in found.journal.entries:
        offset = (entry.place.bucket or 0) * bucket_bytes + (entry.place.block or 0) * geometry.block_bytes
        yield Structure(offset, JSET_HEADER + 8 * len(entry.jset.words))
    yield Structure(
        found.journal.newest.prio_bucket[found.sb.nr_this_dev] * bucket_bytes, geometry.meta_bucket_bytes
    )
    for node in found.tree.nodes:
        for bset in node.bsets:
            offset = node.bucket * bucket_bytes + bset.block * geometry.block_bytes
            seed = node.key.ptr[0] if bset.header.version else U64_MAX
            yield Structure(offset, bset.header.bytes, seed)


def fuzz(data: bytearray, seed: int, times: int) -> int:
    """Check `data`, changed at random, so many times; returns how often the device was refused as a whole.

    Whatever the checker raises but UserError, and reading more than a sound device can need, is an error of
    it. `data` are as before afterwards.
    """
    rng = random.Random(seed)
    places = structures(data)
    refused = 0
    for _ in range(times):
        with _changed(data, places, rng):
            device = Counted(data)
            try:
                check_cache(device, *cache_superblock(device, "image"))
            except UserError:
                refused += 1
            # Every bucket is read as one thing only, but nodes may be longer than their sets.
            assert device.read_bytes <= 4 * len(data), f"read {device.read_bytes} bytes of {len(data)}"
    return refused


@contextmanager
def _changed(data: bytearray, places: list[Structure], rng: random.Random) -> Iterator[None]:
    before = [(place, bytes(data[place.offset : place.offset + place.length])) for place in places]
    for place in rng.sample(places, rng.randint(1, 3)):
        for _ in range(rng.choice((1, 1, 2, 5))):
            rng.choice((_flip, _word, _copy, _small))(data, place, rng)
        if rng.random() < 0.9:
            place.reseal(data)
    yield
    for place, old in before:
        data[place.offset : place.offset + place.length] = old


def _flip(data: bytearray, place: Structure, rng: random.Random) -> None:
    data[place.offset + rng.randrange(place.length)] ^= 1 << rng.randrange(8)


def _word(data: bytearray, place: Structure, rng: random.Random) -> None:
    value = rng.choice(WORDS) if rng.random() < 0.7 else rng.getrandbits(64)
    struct.pack_into("<Q", data, place.offset + rng.randrange(place.length // 8) * 8, value)


def _copy(data: bytearray, place: Structure, rng: random.Random) -> None:
    """Put one word of the structure in place of another."""
    source, target = (place.offset + rng.randrange(place.length // 8) * 8 for _ in range(2))
    data[target : target + 8] = data[source : source + 8]


def _small(data: bytearray, place: Structure, rng: random.Random) -> None:
    """Add a little to a number."""
    at = place.offset + rng.randrange(place.length // 8) * 8
    value = struct.unpack_from("<Q", data, at)[0] + rng.choice((-8, -1, 1, 8, 256, 1 << 20))
    struct.pack_into("<Q", data, at, value & U64_MAX)
