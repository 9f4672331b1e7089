# SPDX-License-Identifier: GPL-2.0-or-later
"""Journal entries, bsets, prio sets and uuid entries, as they lie on the cache device.

Each knows its format, its checksum and how to be written; nothing here judges what it says.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from reference.bcache.bkey import KEY_MAX_U64S, Bkey
from reference.bcache.crc64 import U64_MAX, bch_crc64

__all__ = [
    "BCACHE_BSET_VERSION",
    "BCACHE_JSET_VERSION",
    "BSET_HEADER",
    "BSET_MAGIC",
    "JSET_HEADER",
    "JSET_MAGIC",
    "PSET_MAGIC",
    "BrokenKeyError",
    "BsetHeader",
    "Jset",
    "PrioSet",
    "UuidEntry",
    "keys_of",
    "pack_bset",
]

JSET_MAGIC = 0x245235C1A3625032
PSET_MAGIC = 0x6750E15F87337F91
BSET_MAGIC = 0x90135C78B99E07F5
"""Each mixed (xor) with the first half of the set's UUID."""
BCACHE_JSET_VERSION = 1
BCACHE_BSET_VERSION = 1
MAX_CACHES_PER_SET = 8

SET = struct.Struct("<QQQII")
"""csum, magic, seq, version, keys: how `struct bset`, `struct jset` and `struct prio_set` begin."""
BSET_HEADER = SET.size
JSET = struct.Struct("<QQQIIQ8Q8QH6x8Q")
JSET_HEADER = JSET.size
PRIO_SET = struct.Struct("<QQQIIQ")
UUID_ENTRY = struct.Struct("<16s32sIIIIQ56x")


class BrokenKeyError(Exception):
    """A key that would reach past the end of its set; `index` counts words from the set's first key."""

    def __init__(self, index: int) -> None:
        super().__init__(f"the key at word {index} ends after its set")
        self.index = index


def keys_of(words: tuple[int, ...]) -> Iterator[Bkey]:
    """Yield the keys that lie one after the other in `words`; BrokenKeyError when the last does not fit."""
    index, end = 0, len(words)
    while index < end:
        after = index + 2 + (words[index] >> 60 & 7)
        if after > end:
            raise BrokenKeyError(index)
        yield Bkey(words[index], words[index + 1], words[index + 2 : after])
        index = after


def _words(keys: Iterable[Bkey]) -> list[int]:
    return [word for k in keys for word in k.words()]


def _padded(words: tuple[int, ...]) -> Bkey:
    """Read a BKEY_PADDED: what its count of pointers promises, as far as there is room."""
    return Bkey(words[0], words[1], words[2 : 2 + (words[0] >> 60 & 7)])


def _pad(k: Bkey) -> list[int]:
    words = k.words()
    return words + [0] * (KEY_MAX_U64S - len(words))


@dataclass(frozen=True)
class BsetHeader:
    """`struct bset` without its keys."""

    csum: int
    magic: int
    seq: int
    version: int
    keys: int
    """Length of the keys, 8-byte words."""

    @classmethod
    def from_bytes(cls, data: bytes, offset: int = 0) -> BsetHeader:
        """Read a header at `offset`; struct.error when `data` end before it does."""
        return cls(*SET.unpack_from(data, offset))

    @property
    def bytes(self) -> int:
        """`set_bytes`: with the keys."""
        return BSET_HEADER + self.keys * 8


def pack_bset(keys: Iterable[Bkey], magic: int, seq: int, first_ptr: int, version: int = 1) -> bytes:
    """Return a bset as `do_btree_node_write` writes it.

    `first_ptr` is the node's pointer. Version 0 has a checksum that does not depend on it.
    """
    words = _words(keys)
    body = struct.pack(f"<QQII{len(words)}Q", magic, seq, version, len(words), *words)
    return struct.pack("<Q", bch_crc64(body, first_ptr if version else U64_MAX)) + body


@dataclass(frozen=True)
class Jset:
    """`struct jset`: a journal entry."""

    magic: int
    seq: int
    last_seq: int
    """The oldest entry with keys that may not be in written nodes."""
    uuid_bucket: Bkey
    btree_root: Bkey
    btree_level: int
    prio_bucket: tuple[int, ...]
    words: tuple[int, ...] = ()
    """The keys."""
    version: int = BCACHE_JSET_VERSION
    csum: int = 0
    computed_csum: int = field(default=0, compare=False)

    @staticmethod
    def length(data: bytes, offset: int = 0) -> tuple[int, int, int]:
        """Return the magic, the seq and the bytes of the entry at `offset`; struct.error past the end."""
        _, magic, seq, _, keys = SET.unpack_from(data, offset)
        return magic, seq, JSET_HEADER + keys * 8

    @classmethod
    def from_bytes(cls, data: bytes, offset: int = 0) -> Jset:
        """Read the entry at `offset`; struct.error when `data` end before it does."""
        fields = JSET.unpack_from(data, offset)
        csum, magic, seq, version, keys, last_seq = fields[:6]
        end = offset + JSET_HEADER + keys * 8
        return cls(
            magic=magic,
            seq=seq,
            last_seq=last_seq,
            uuid_bucket=_padded(fields[6:14]),
            btree_root=_padded(fields[14:22]),
            btree_level=fields[22],
            prio_bucket=fields[23:],
            words=struct.unpack_from(f"<{keys}Q", data, offset + JSET_HEADER),
            version=version,
            csum=csum,
            computed_csum=bch_crc64(data[offset + 8 : end]),
        )

    def pack(self) -> bytes:
        """Return the entry as `journal_write_unlocked` writes it."""
        head = JSET.pack(
            *(0, self.magic, self.seq, self.version, len(self.words), self.last_seq),
            *_pad(self.uuid_bucket),
            *_pad(self.btree_root),
            self.btree_level,
            *self.prio_bucket,
        )
        body = head[8:] + struct.pack(f"<{len(self.words)}Q", *self.words)
        return struct.pack("<Q", bch_crc64(body)) + body


@dataclass(frozen=True)
class PrioSet:
    """`struct prio_set`: prios and gens of as many buckets as fit into one."""

    magic: int
    seq: int
    next_bucket: int
    prios: tuple[int, ...]
    gens: bytes
    csum: int = 0
    computed_csum: int = field(default=0, compare=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> PrioSet:
        """Read the metadata part of a bucket, all of `data`."""
        csum, magic, seq, _, _, next_bucket = PRIO_SET.unpack_from(data)
        count = (len(data) - PRIO_SET.size) // 3
        table = data[PRIO_SET.size : PRIO_SET.size + 3 * count]
        low, high = table[::3], table[1::3]
        return cls(
            magic=magic,
            seq=seq,
            next_bucket=next_bucket,
            prios=tuple(a | b << 8 for a, b in zip(low, high, strict=True)),
            gens=table[2::3],
            csum=csum,
            computed_csum=bch_crc64(data[8:]),
        )

    def pack(self, size: int) -> bytes:
        """Return it in `size` bytes, as `bch_prio_write` writes it."""
        table = b"".join(struct.pack("<HB", p, g) for p, g in zip(self.prios, self.gens, strict=True))
        body = struct.pack("<QQIIQ", self.magic, self.seq, 0, 0, self.next_bucket) + table
        body += bytes(size - 8 - len(body))
        return struct.pack("<Q", bch_crc64(body)) + body


@dataclass(frozen=True)
class UuidEntry:
    """`struct uuid_entry`: a backing device or a volume that only exists in the cache."""

    uuid: bytes
    label: bytes = bytes(32)
    first_reg: int = 0
    last_reg: int = 0
    invalidated: int = 0
    flags: int = 0
    sectors: int = 0

    @classmethod
    def from_bytes(cls, data: bytes, offset: int = 0) -> UuidEntry:
        """Read the entry at `offset`; struct.error when `data` end before it does."""
        return cls(*UUID_ENTRY.unpack_from(data, offset))

    @property
    def flash_only(self) -> bool:
        """UUID_FLASH_ONLY: all of it is in the cache."""
        return bool(self.flags & 1)

    def pack(self) -> bytes:
        """Return the entry as it is stored."""
        return UUID_ENTRY.pack(
            *(self.uuid, self.label, self.first_reg, self.last_reg, self.invalidated, self.flags),
            self.sectors,
        )
