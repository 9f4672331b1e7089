# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with bytes that were read."""

from __future__ import annotations

from errno import EIO

__all__ = ["BlockError", "FormatError"]


class FormatError(ValueError):
    """Bytes are not what the format says they must be; the text says which and why."""


class BlockError(FormatError):
    """A block of a tree cannot be believed, or cannot be read."""

    def __init__(self, bytenr: int, problem: str, errno: int = EIO) -> None:
        super().__init__(f"block {bytenr}: {problem}")
        self.bytenr = bytenr
        """Logical address, bytes."""
        self.errno = errno
        """What the kernel ends such a read with (`btrfs_validate_metadata_buffer`), positive."""
