# SPDX-License-Identifier: GPL-2.0-or-later
"""The device or image that is looked at: opened to be read, never to be written."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from harness.errors import UserError
from reference.bcache.superblock import (
    SB_OFFSET_BYTES,
    SB_SIZE,
    CacheSb,
    complaint_about,
    looks_like_bcache,
)

__all__ = ["Bytes", "Device", "File", "UnreadableError", "cache_superblock"]


class UnreadableError(Exception):
    """A part of the device that cannot be read, and why."""


class Device(Protocol):
    """What the checker needs of a device."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; UnreadableError when they are not to be had."""


class Bytes:
    """A device in memory."""

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`."""
        if offset + length > len(self._data):
            raise UnreadableError(f"bytes {offset} to {offset + length} are after the end of the device")
        return bytes(self._data[offset : offset + length])


class File:
    """A block device or an image in a file."""

    def __init__(self, path: Path) -> None:
        """Open `path` read-only; UserError when it cannot be, or is neither."""
        self.path = path
        try:
            mode = path.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
                raise UserError(
                    f"{path} is neither a block device nor a file: give a cache device or an image"
                )
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
        self._is_block = stat.S_ISBLK(mode)
        if self._is_block:
            # What bcache itself wrote went past the page cache.
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)
        self.size = os.lseek(self._fd, 0, os.SEEK_END)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; UnreadableError when they are not to be had."""
        parts = []
        while length:
            try:
                part = os.pread(self._fd, min(length, 1 << 24), offset)
            except OSError as error:
                raise UnreadableError(f"byte {offset} cannot be read: {error.strerror}") from None
            if not part:
                raise UnreadableError(f"byte {offset} is after the end of the device")
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    @property
    def registered(self) -> bool:
        """Whether the running kernel uses the device as a bcache device, so that it may change any time."""
        if not self._is_block:
            return False
        number = os.fstat(self._fd).st_rdev
        return Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/bcache").exists()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def cache_superblock(device: Device, name: str) -> tuple[CacheSb, str | None]:
    """Return the superblock of a cache device and the kernel's complaint about it, if it has one.

    UserError for what was never meant to be a cache device.
    """
    if device.size < SB_OFFSET_BYTES + SB_SIZE:
        raise UserError(f"{name} is no bcache device: it has only {device.size} bytes")
    try:
        sb = CacheSb.from_bytes(device.read(SB_OFFSET_BYTES, SB_SIZE))
    except UnreadableError as error:
        raise UserError(f"the superblock of {name} cannot be read: {error}") from None
    if not looks_like_bcache(sb):
        raise UserError(f"{name} is no bcache device: it has no bcache superblock at byte {SB_OFFSET_BYTES}")
    complaint = complaint_about(sb, device.size // 512)
    if complaint is None and sb.is_bdev:
        raise UserError(
            f"{name} is a backing device, which has nothing but its superblock to check (that is sound): "
            f"give the cache device of set {_uuid(sb.set_uuid)}"
        )
    if complaint in _NOT_FOR_US and sb.csum == sb.computed_csum:
        raise UserError(
            f"{name}: {complaint} (version {sb.version}, features {sb.feature_compat:#x} "
            f"{sb.feature_ro_compat:#x} {sb.feature_incompat:#x}): no kernel up to 7.2 reads it either"
        )
    return sb, complaint


_NOT_FOR_US = {
    "Unsupported superblock version",
    "Unsupported compatible feature found",
    "Unsupported read-only compatible feature found",
    "Unsupported incompatible feature found",
}
"""Complaints about what a later kernel may have made, and made well."""


def _uuid(data: bytes) -> str:
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
