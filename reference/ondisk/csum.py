# SPDX-License-Identifier: GPL-2.0-or-later
"""The four checksums of metadata and data (`btrfs_csums`, fs/btrfs/ctree.c)."""

from __future__ import annotations

import hashlib
from enum import IntEnum

import crc32c
import xxhash

from reference.ondisk.errors import FormatError

__all__ = ["BTRFS_CSUM_SIZE", "CsumType"]

BTRFS_CSUM_SIZE = 32
"""Room for a checksum in headers and superblocks, bytes."""


class CsumType(IntEnum):
    """BTRFS_CSUM_TYPE_*."""

    CRC32 = 0
    XXHASH = 1
    SHA256 = 2
    BLAKE2 = 3

    @property
    def size(self) -> int:
        """How many bytes a checksum has."""
        return (4, 8, 32, 32)[self]

    def digest(self, data: bytes | memoryview) -> bytes:
        """Return the checksum of `data` as it is stored.

        >>> CsumType.CRC32.digest(b"123456789").hex()  # 0xe3069283, little endian
        '839206e3'
        """
        match self:
            case CsumType.CRC32:
                return crc32c.crc32c(data).to_bytes(4, "little")
            case CsumType.XXHASH:
                return xxhash.xxh64_intdigest(data).to_bytes(8, "little")
            case CsumType.SHA256:
                return hashlib.sha256(data).digest()
            case CsumType.BLAKE2:
                return hashlib.blake2b(data, digest_size=32).digest()

    def holds(self, block: bytes | memoryview) -> bool:
        """Return whether `block`, a header or superblock and all behind it, begins with its checksum."""
        view = memoryview(block)
        return bytes(view[: self.size]) == self.digest(view[BTRFS_CSUM_SIZE:])

    @classmethod
    def of(cls, number: int) -> CsumType:
        """Return the type with this number; FormatError if there is none."""
        try:
            return cls(number)
        except ValueError:
            raise FormatError(f"checksum type {number} is not known") from None
