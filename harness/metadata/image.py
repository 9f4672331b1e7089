# SPDX-License-Identifier: GPL-2.0-or-later
"""One device of a file system, an image or a block device, opened for reading only."""

from __future__ import annotations

import mmap
import os
from errno import EIO
from pathlib import Path

from harness.metadata.errors import MetadataError
from reference.ondisk import BTRFS_SUPER_INFO_OFFSET, BTRFS_SUPER_INFO_SIZE, FormatError, Superblock

__all__ = ["Image"]


class Image:
    """A device with the superblock that it bears; closed by `close`."""

    def __init__(self, path: Path, *, direct: bool = False) -> None:
        """Open it; MetadataError if it cannot be read or bears no superblock that a mount would take.

        Reads that are `direct` go past the page cache; their places and lengths have to be of whole sectors.
        """
        self.path = path
        self._pread = _direct_pread if direct else os.pread
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_DIRECT if direct else 0))
        except OSError as error:
            raise MetadataError(f"{path}: cannot be opened ({os.strerror(error.errno or EIO)})") from None
        try:
            self.superblock = self._superblock()
        except BaseException:
            self.close()
            raise

    @property
    def devid(self) -> int:
        """The number that the device has in its file system."""
        return self.superblock.dev_item.devid

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)

    def read(self, physical: int, length: int) -> bytes:
        """Return `length` bytes from `physical` on; OSError(EIO) if the image ends before."""
        data = self._pread(self.fd, length, physical)
        if len(data) != length:
            raise OSError(EIO, f"it ends at {physical + len(data)} bytes")
        return data

    def _superblock(self) -> Superblock:
        try:
            superblock = Superblock.from_bytes(
                self._pread(self.fd, BTRFS_SUPER_INFO_SIZE, BTRFS_SUPER_INFO_OFFSET)
            )
            superblock.check()
        except FormatError as error:
            raise MetadataError(f"{self.path}: {error}: give a device of a btrfs file system") from None
        except OSError as error:
            text = os.strerror(error.errno or EIO)
            raise MetadataError(f"{self.path}: the superblock cannot be read ({text})") from None
        return superblock


def _direct_pread(fd: int, length: int, offset: int) -> bytes:
    """Read into memory of whole pages, as O_DIRECT wants it."""
    with mmap.mmap(-1, length) as buffer:
        return buffer[: os.preadv(fd, [buffer], offset)]
