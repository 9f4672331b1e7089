# SPDX-License-Identifier: GPL-2.0-or-later
"""What a bcache device is made of, refused early when it cannot be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from loopdevs.errors import LoopdevsError

__all__ = ["CACHE_MODES", "DATA_OFFSET_BYTES", "REPLACEMENT_POLICIES", "BcacheLayout"]

CACHE_MODES = ("writethrough", "writeback", "writearound", "none")
"""`bch_cache_modes`, drivers/md/bcache/sysfs.c."""

REPLACEMENT_POLICIES = ("lru", "fifo", "random")
"""`cache_replacement_policies`, drivers/md/bcache/sysfs.c."""

DATA_OFFSET_BYTES = 16 * 512
"""Where the data begin on the backing device: `BDEV_DATA_START_DEFAULT`, in sectors."""

BUCKETS = 513
"""Fewest buckets of a cache: `cache_alloc` needs a reserve of roundup_pow_of_two(nbuckets) / 1024.

A kernel that takes so few may still stall on them: with 1,024 of 16 KiB, 6.12 kept a writer waiting in
`bch_bucket_alloc` for half a minute and more after 1.3 MiB; with 4,096 it did not.
"""

PAGE_BYTES = 4096
MINIMUM_BACKING_BYTES = 1024**2
SECTORS_LIMIT = 1 << 16
"""bucket_size and block_size are u16 counts of sectors in the superblock."""


@dataclass(frozen=True)
class BcacheLayout:
    """A backing device with a cache to be made; LoopdevsError says in one line why it cannot be."""

    backing_bytes: int = 1024**3
    """Size of the backing device; it holds 8 KiB less."""
    cache_bytes: int = 256 * 1024**2
    """Size of the cache device."""
    cache_mode: str = "writethrough"
    """One of `CACHE_MODES`."""
    bucket_bytes: int = 64 * 1024
    """Unit of allocation in the cache."""
    block_bytes: int = 4096
    """Smallest unit of I/O to both devices."""
    writeback_percent: int = 10
    """Share of the cache that background writeback lets be dirty, percent; 0 writes back at full speed."""
    sequential_cutoff: int = 0
    """Bytes of sequential I/O after which the cache is bypassed; 0 never bypasses it."""
    replacement: str = "lru"
    """One of `REPLACEMENT_POLICIES`."""

    devices: ClassVar[int] = 2
    """How many devices it is made of."""

    @property
    def device_bytes(self) -> int:
        """Size of the larger of the two devices, bytes."""
        return max(self.backing_bytes, self.cache_bytes)

    def __post_init__(self) -> None:
        _check_choice("cache mode", self.cache_mode, CACHE_MODES)
        _check_choice("replacement policy", self.replacement, REPLACEMENT_POLICIES)
        _check_power("block", self.block_bytes, 512, PAGE_BYTES)
        _check_power("bucket", self.bucket_bytes, PAGE_BYTES, (SECTORS_LIMIT // 2) * 512)
        _check_range("writeback_percent", self.writeback_percent, 0, 40)
        _check_range("sequential_cutoff", self.sequential_cutoff, 0, 2**32 - 1)
        _check_size("backing device", self.backing_bytes, MINIMUM_BACKING_BYTES)
        _check_size("cache device", self.cache_bytes, BUCKETS * self.bucket_bytes)


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise LoopdevsError(f"bcache {what} {value!r} is unknown: use one of {', '.join(choices)}")


def _check_power(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most or value & (value - 1):
        raise LoopdevsError(
            f"a bcache {what} of {value} bytes is not possible: give a power of two, {least} to {most}"
        )


def _check_range(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise LoopdevsError(f"bcache {what} {value} is not possible: give {least} to {most}")


def _check_size(what: str, size: int, least: int) -> None:
    if size < least or size % PAGE_BYTES:
        raise LoopdevsError(
            f"a bcache {what} of {size} bytes is not possible: give a multiple of {PAGE_BYTES}, "
            f"{least} or more"
        )
