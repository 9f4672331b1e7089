# SPDX-License-Identifier: GPL-2.0-or-later
"""Which blocks of a disk fail, in a file that the disk's process and its owner both have in memory."""

from __future__ import annotations

import mmap
from enum import IntFlag
from pathlib import Path

__all__ = ["BLOCK", "Failing", "FailingBlocks"]

BLOCK = 4096
"""What fails, fails in pieces of so many bytes."""


class Failing(IntFlag):
    """What a block answers with an I/O error."""

    NOTHING = 0
    READS = 1
    WRITES = 2


class FailingBlocks:
    """One byte for each block; what is set is so for the next request."""

    def __init__(self, file: Path) -> None:
        """Open what `make` has made; OSError if that fails."""
        with file.open("r+b") as opened:
            self._blocks = mmap.mmap(opened.fileno(), 0)

    @classmethod
    def make(cls, file: Path, nbytes: int) -> FailingBlocks:
        """Make the file, for a disk of `nbytes`; nothing fails. OSError if that fails."""
        with file.open("xb") as made:
            made.truncate(-(-nbytes // BLOCK))
        return cls(file)

    def put(self, byte: int, nbytes: int, failing: Failing) -> None:
        """Have all blocks of the range fail in that way from now on."""
        blocks = _blocks(byte, nbytes)
        self._blocks[blocks] = bytes([failing]) * (blocks.stop - blocks.start)

    def meets(self, byte: int, nbytes: int, failing: Failing) -> bool:
        """Return whether a request meets a block that fails in that way."""
        return any(one & failing for one in self._blocks[_blocks(byte, nbytes)])


def _blocks(byte: int, nbytes: int) -> slice:
    return slice(byte // BLOCK, -(-(byte + nbytes) // BLOCK))
