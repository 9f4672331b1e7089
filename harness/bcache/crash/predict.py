# SPDX-License-Identifier: GPL-2.0-or-later
"""What a set will be after its kernel has recovered it from what a loss of power left on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.bcache.check import CheckedCache, check_cache
from harness.bcache.crash.moments import Disks
from harness.bcache.crash.stamps import Stamps, stamps_of
from harness.bcache.crash.write_log import SECTOR
from harness.bcache.device import Bytes, cache_superblock
from loopdevs.bcache_layout import DATA_OFFSET_BYTES
from reference.bcache.bkey import Bkey, ptr_offset
from reference.bcache.superblock import SB_OFFSET_BYTES, SB_SIZE, CacheSb, complaint_about

__all__ = ["DATA_START", "Places", "Prediction", "checked_cache", "places", "predict"]

Places = Mapping[int, int]
"""Sectors of the device, and where each one is in the cache."""

DATA_START = DATA_OFFSET_BYTES // SECTOR
"""First sector of the data on the backing device: keys count from the beginning of that."""

_STATE_SHIFT = 61
_DIRTY = 2
"""BDEV_STATE and BDEV_STATE_DIRTY, bcache_ondisk.h."""


@dataclass(frozen=True)
class Prediction:
    """What the kernel is expected to show."""

    checked: CheckedCache
    stamps: Stamps
    """Of all sectors of the device."""
    dirty: Places
    clean: Places
    said_dirty: bool
    """Whether the backing device says of itself that the cache has dirty data of it."""
    backing_complaint: str | None
    """What the kernel has against the superblock of the backing device."""

    @property
    def replay(self) -> tuple[int, int, int]:
        """Return what the kernel says of the journal: keys, entries, the newest entry's number."""
        journal = self.checked.journal
        assert journal
        return self.checked.replayed, len(journal.entries), journal.newest.seq


def checked_cache(disk: bytes | bytearray, disks: Disks) -> CheckedCache:
    """Check the cache device on the disk."""
    device = Bytes(disk[: disks.cache_sectors * SECTOR])
    return check_cache(device, *cache_superblock(device, "the cache device"))


def places(checked: CheckedCache, dirty: bool) -> dict[int, int]:
    """Return the sectors of the device that are in the cache, dirty or clean, and where."""
    return {
        k.start + n - DATA_START: ptr_offset(k.ptr[0]) + n
        for k in checked.live
        if k.dirty == dirty
        for n in range(k.size)
    }


def predict(disk: bytes | bytearray, disks: Disks) -> Prediction:
    """Return what the kernel makes of the disk, on which there must be a set."""
    checked = checked_cache(disk, disks)
    backing = disks.cache_sectors * SECTOR
    device = bytearray(disk[backing:])
    for k, data in _cached(checked, disk):
        device[k.start * SECTOR : k.offset * SECTOR] = data
    sb = CacheSb.from_bytes(bytes(disk[backing + SB_OFFSET_BYTES : backing + SB_OFFSET_BYTES + SB_SIZE]))
    return Prediction(
        checked,
        stamps_of(device[DATA_OFFSET_BYTES:], 0),
        places(checked, True),
        places(checked, False),
        sb.flags >> _STATE_SHIFT & 3 == _DIRTY,
        complaint_about(sb, disks.backing_sectors),
    )


def _cached(checked: CheckedCache, disk: bytes | bytearray) -> Iterator[tuple[Bkey, bytes]]:
    for k in checked.live:
        start = ptr_offset(k.ptr[0]) * SECTOR
        yield k, bytes(disk[start : start + k.size * SECTOR])
