# SPDX-License-Identifier: GPL-2.0-or-later
"""Sectors that say by which write they were made and where they belong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEVER", "WRONG", "Stamps", "content", "stamps_of"]

Stamps = NDArray[np.int64]
"""The number of the write of each sector."""

NEVER = 0
"""A sector of zeros."""
WRONG = -1
"""A sector that no write made, or that belongs to another place."""

_WORDS = 64
"""Words of 8 bytes in a sector."""


def content(number: int, sector: int, sectors: int) -> bytes:
    """Return what write `number`, from 1 on, puts into sectors of the device.

    >>> len(content(7, 100, 2)), stamps_of(content(7, 100, 2), 100).tolist()
    (1024, [7, 7])
    """
    words = np.empty((sectors, _WORDS), "<u8")
    words[:, 0::2] = number
    words[:, 1::2] = np.arange(sector, sector + sectors, dtype="<u8")[:, None]
    return words.tobytes()


def stamps_of(data: bytes | bytearray | memoryview, sector: int) -> Stamps:
    """Return who wrote what was found from a sector of the device on.

    >>> stamps_of(bytes(512) + content(7, 100, 1), 100).tolist()
    [0, -1]
    """
    words = np.frombuffer(data, "<u8").reshape(-1, _WORDS)
    numbers, places = words[:, 0::2], words[:, 1::2]
    expected = np.arange(sector, sector + len(words), dtype="<u8")[:, None]
    whole = (numbers == numbers[:, :1]).all(1) & (places == expected).all(1)
    found = np.where(whole & (numbers[:, 0] < 1 << 62), numbers[:, 0], np.uint64(0)).astype(np.int64)
    blank = ~words.any(1)
    found[~whole & ~blank] = WRONG
    return found
