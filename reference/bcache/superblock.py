# SPDX-License-Identifier: GPL-2.0-or-later
"""The superblock of cache and backing devices, all versions, and what the kernel demands of it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag

from reference.bcache.crc64 import bch_crc64

__all__ = [
    "BCACHE_MAGIC",
    "SB_JOURNAL_BUCKETS",
    "SB_OFFSET_BYTES",
    "SB_SECTOR",
    "SB_SIZE",
    "CacheSb",
    "FeatureIncompat",
    "SbVersion",
    "complaint_about",
    "looks_like_bcache",
]

SB_SECTOR = 8
SB_OFFSET_BYTES = SB_SECTOR * 512
SB_SIZE = 4096
SB_JOURNAL_BUCKETS = 256
MAX_CACHES_PER_SET = 8
BDEV_DATA_START_DEFAULT = 16
PAGE_SECTORS = 8
LONG_MAX = (1 << 63) - 1
BCACHE_MAGIC = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")
"""`bcache_magic`, super.c."""

FIELDS = struct.Struct("<QQQ16s16s16s32sQQQQQ40xQHHHHIHH")
"""`struct cache_sb_disk` up to d[]; the 184th byte is nbuckets, or data_offset of a backing device."""
OBSO_BUCKET_SIZE_HI = FIELDS.size + 8 * SB_JOURNAL_BUCKETS
"""Where the upper half of an obsolete large bucket size stands, bytes."""


class SbVersion(IntEnum):
    """BCACHE_SB_VERSION_*, bcache_ondisk.h."""

    CDEV = 0
    BDEV = 1
    CDEV_WITH_UUID = 3
    BDEV_WITH_OFFSET = 4
    CDEV_WITH_FEATURES = 5
    BDEV_WITH_FEATURES = 6


BDEVS = {SbVersion.BDEV, SbVersion.BDEV_WITH_OFFSET, SbVersion.BDEV_WITH_FEATURES}


class FeatureIncompat(IntFlag):
    """BCH_FEATURE_INCOMPAT_*, features.h; there are no other features."""

    OBSO_LARGE_BUCKET = 1
    """The upper 16 bits of bucket_size stand at the end of the superblock."""
    LOG_LARGE_BUCKET_SIZE = 2
    """bucket_size is the binary logarithm of it."""


# A number: the complement of all flags of an IntFlag is no flag at all.
INCOMPAT_SUPP = int(FeatureIncompat.OBSO_LARGE_BUCKET | FeatureIncompat.LOG_LARGE_BUCKET_SIZE)


@dataclass(frozen=True)
class CacheSb:
    """`struct cache_sb_disk`; sizes in sectors."""

    version: int
    uuid: bytes
    set_uuid: bytes
    flags: int
    seq: int = 0
    nbuckets: int = 0
    """Of a backing device: `data_offset`, in the same place."""
    block_size: int = 1
    raw_bucket_size: int = 0
    """The u16 as it is stored; `bucket_size` is what it means."""
    nr_in_set: int = 1
    nr_this_dev: int = 0
    first_bucket: int = 0
    keys: int = 0
    """How many journal buckets."""
    d: tuple[int, ...] = ()
    """The journal buckets."""
    label: bytes = bytes(32)
    offset: int = SB_SECTOR
    magic: bytes = BCACHE_MAGIC
    feature_compat: int = 0
    feature_incompat: int = 0
    feature_ro_compat: int = 0
    last_mount: int = 0
    obso_bucket_size_hi: int = 0
    csum: int = 0
    """As it was read; `pack` computes it."""
    computed_csum: int = 0

    @classmethod
    def from_bytes(cls, data: bytes) -> CacheSb:
        """Read a superblock from its SB_SIZE bytes, whatever they say; ValueError for fewer."""
        if len(data) < SB_SIZE:
            raise ValueError(f"a superblock has {SB_SIZE} bytes, not {len(data)}")
        (
            csum,
            offset,
            version,
            magic,
            uuid,
            set_uuid,
            label,
            flags,
            seq,
            compat,
            incompat,
            ro_compat,
            nbuckets,
            block_size,
            bucket_size,
            nr_in_set,
            nr_this_dev,
            last_mount,
            first_bucket,
            keys,
        ) = FIELDS.unpack_from(data)
        held = min(keys, SB_JOURNAL_BUCKETS)
        return cls(
            version=version,
            uuid=uuid,
            set_uuid=set_uuid,
            flags=flags,
            seq=seq,
            nbuckets=nbuckets,
            block_size=block_size,
            raw_bucket_size=bucket_size,
            nr_in_set=nr_in_set,
            nr_this_dev=nr_this_dev,
            first_bucket=first_bucket,
            keys=keys,
            d=struct.unpack_from(f"<{held}Q", data, FIELDS.size),
            label=label,
            offset=offset,
            magic=magic,
            feature_compat=compat,
            feature_incompat=incompat,
            feature_ro_compat=ro_compat,
            last_mount=last_mount,
            obso_bucket_size_hi=struct.unpack_from("<H", data, OBSO_BUCKET_SIZE_HI)[0],
            csum=csum,
            computed_csum=bch_crc64(data[8 : FIELDS.size + 8 * keys]),
        )

    def pack(self) -> bytes:
        """Return the superblock as `__write_super` writes it, with its checksum."""
        fields = FIELDS.pack(
            *(0, self.offset, self.version, self.magic, self.uuid, self.set_uuid, self.label),
            *(self.flags, self.seq, self.feature_compat, self.feature_incompat, self.feature_ro_compat),
            *(self.nbuckets, self.block_size, self.raw_bucket_size, self.nr_in_set, self.nr_this_dev),
            *(self.last_mount, self.first_bucket, self.keys),
        )
        data = bytearray(SB_SIZE)
        data[: len(fields)] = fields
        struct.pack_into(f"<{len(self.d)}Q", data, FIELDS.size, *self.d)
        struct.pack_into("<H", data, OBSO_BUCKET_SIZE_HI, self.obso_bucket_size_hi)
        struct.pack_into("<Q", data, 0, bch_crc64(bytes(data[8 : FIELDS.size + 8 * self.keys])))
        return bytes(data)

    def read_back(self) -> CacheSb:
        """Return it as it is read after `pack`: with its checksum."""
        return CacheSb.from_bytes(self.pack())

    @property
    def is_bdev(self) -> bool:
        """SB_IS_BDEV."""
        return self.version in BDEVS

    @property
    def data_offset(self) -> int:
        """Where the data of a backing device begin, sectors."""
        return BDEV_DATA_START_DEFAULT if self.version == SbVersion.BDEV else self.nbuckets

    @property
    def bucket_size(self) -> int:
        """`get_bucket_size`, super.c; sectors."""
        if self.version < SbVersion.CDEV_WITH_FEATURES:
            return self.raw_bucket_size
        if self.feature_incompat & FeatureIncompat.LOG_LARGE_BUCKET_SIZE:
            # The kernel complains about more and then shifts in 32 bits, which gives some size or other.
            return 1 << self.raw_bucket_size if self.raw_bucket_size < 32 else 0
        if self.feature_incompat & FeatureIncompat.OBSO_LARGE_BUCKET:
            return self.raw_bucket_size | self.obso_bucket_size_hi << 16
        return self.raw_bucket_size

    @property
    def sync(self) -> bool:
        """CACHE_SYNC: the cache was in use; without it the kernel begins with an empty one."""
        return bool(self.flags & 1)

    @property
    def set_magic(self) -> int:
        """The first half of the set's UUID, which every magic number is mixed with."""
        return int.from_bytes(self.set_uuid[:8], "little")

    def with_journal(self, buckets: int) -> CacheSb:
        """Return it with its journal laid out as `run_cache_set` does."""
        d = tuple(range(self.first_bucket, self.first_bucket + buckets))
        return replace(self, keys=buckets, d=d)


def looks_like_bcache(sb: CacheSb) -> bool:
    """Whether somebody meant this to be a bcache superblock."""
    return sb.magic == BCACHE_MAGIC


def complaint_about(sb: CacheSb, device_sectors: int, logical_block_bytes: int = 512) -> str | None:
    """Return the kernel's word for why it refuses the superblock, None if it does not.

    `read_super` and `read_super_common`, super.c (7.2), in their order.
    """
    for complaint, wrong in (
        ("Not a bcache superblock (bad offset)", sb.offset != SB_SECTOR),
        ("Not a bcache superblock (bad magic)", sb.magic != BCACHE_MAGIC),
        ("Bad checksum", sb.csum != sb.computed_csum),
        ("Bad UUID", not any(sb.uuid)),
        (
            "Superblock block size smaller than device block size",
            sb.block_size * 512 < logical_block_bytes,
        ),
        ("Unsupported superblock version", sb.version not in SbVersion.__members__.values()),
    ):
        if wrong:
            return complaint
    if sb.is_bdev:
        return "Bad data offset" if sb.data_offset < BDEV_DATA_START_DEFAULT else None
    return _about_features(sb) or _about_layout(sb, device_sectors)


def _about_features(sb: CacheSb) -> str | None:
    if sb.version < SbVersion.CDEV_WITH_FEATURES:
        return None
    if sb.feature_compat:
        return "Unsupported compatible feature found"
    if sb.feature_ro_compat:
        return "Unsupported read-only compatible feature found"
    if sb.feature_incompat & ~INCOMPAT_SUPP:
        return "Unsupported incompatible feature found"
    return None


def _about_layout(sb: CacheSb, device_sectors: int) -> str | None:
    size = sb.bucket_size
    for complaint, wrong in (
        ("Too many journal buckets", sb.keys > SB_JOURNAL_BUCKETS),
        ("Too many buckets", sb.nbuckets > LONG_MAX),
        ("Not enough buckets", sb.nbuckets < 1 << 7),
        ("Bad block size (not power of 2)", not _is_power_of_2(sb.block_size)),
        ("Bad block size (larger than page size)", sb.block_size > PAGE_SECTORS),
        ("Bad bucket size (not power of 2)", not _is_power_of_2(size)),
        ("Bad bucket size (smaller than page size)", size < PAGE_SECTORS),
        ("Invalid superblock: device too small", device_sectors < size * sb.nbuckets),
        ("Bad UUID", not any(sb.set_uuid)),
        (
            "Bad cache device number in set",
            not sb.nr_this_dev < sb.nr_in_set <= MAX_CACHES_PER_SET,
        ),
        (
            "Journal buckets not sequential",
            any(bucket != sb.first_bucket + i for i, bucket in enumerate(sb.d)),
        ),
        ("Too many journal buckets", sb.first_bucket + sb.keys > sb.nbuckets),
        (
            "Invalid superblock: first bucket comes before end of super",
            sb.first_bucket * size < SB_SECTOR + SB_SIZE // 512,
        ),
    ):
        if wrong:
            return complaint
    return None


def _is_power_of_2(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0
