# SPDX-License-Identifier: GPL-2.0-or-later
"""Decodes pages of the kernel's trace ring buffer, all pages at once.

A page is u64 time stamp, u64 commit (bits 0-19 size of the data), data from byte 16. An event begins with a
word: bits 0-4 type_len, bits 5-31 time delta (include/linux/ring_buffer.h).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PAGE_BYTES", "Payloads", "decode_pages"]

PAGE_BYTES = 4096
_HEADER_BYTES = 16
_SIZE_MASK = 0xFFFFF
_PADDING, _TIME_EXTEND, _TIME_STAMP = 29, 30, 31
_TIME_SHIFT = np.uint64(27)


@dataclass(frozen=True)
class Payloads:
    """Where the payload of each event begins, and when it fired."""

    words: NDArray[np.uint32]
    """All pages, as 4-byte words."""
    position: NDArray[np.int64]
    """First word of each payload."""
    time: NDArray[np.uint64]
    page: NDArray[np.int64]

    def u16(self, byte: int) -> NDArray[np.uint32]:
        """The 2-byte field at an offset of each payload."""
        word = self.words[self.position + byte // 4]
        return (word >> np.uint32(8 * (byte % 4))) & np.uint32(0xFFFF)

    def u32(self, byte: int) -> NDArray[np.uint32]:
        """The 4-byte field at an offset, which must be a multiple of 4."""
        return self.words[self.position + byte // 4]

    def u64(self, byte: int) -> NDArray[np.uint64]:
        """The 8-byte field at an offset, which must be a multiple of 4."""
        low, high = self.u32(byte).astype(np.uint64), self.u32(byte + 4).astype(np.uint64)
        return low | high << np.uint64(32)

    def take(self, rows: NDArray[Any]) -> Payloads:
        """Return some of the events."""
        return Payloads(self.words, self.position[rows], self.time[rows], self.page[rows])


def decode_pages(pages: NDArray[np.uint8]) -> Payloads:
    """Find the events in `pages` (shape n x PAGE_BYTES), in order of page and position."""
    words = np.ascontiguousarray(pages).reshape(-1).view(np.uint32)
    heads = pages[:, :_HEADER_BYTES].copy().view(np.uint64)
    end = _HEADER_BYTES + (heads[:, 1] & np.uint64(_SIZE_MASK)).astype(np.int64)
    cursor = np.full(len(pages), _HEADER_BYTES, np.int64)
    time = heads[:, 0].copy()
    found: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
    while (active := np.flatnonzero(cursor < end)).size:
        at = (active * PAGE_BYTES + cursor[active]) // 4
        type_len = words[at] & 31
        delta = (words[at] >> np.uint32(5)).astype(np.uint64)
        # The word behind the head: length of a long event or of padding, or the high part of a time.
        second = words[np.minimum(at + 1, len(words) - 1)]
        extended = delta + (second.astype(np.uint64) << _TIME_SHIFT)
        stamped = type_len == _TIME_STAMP
        # A padding event carries a delta too, but only its zero form ends the page.
        time[active] += np.where(type_len == _TIME_EXTEND, extended, np.where(stamped, 0, delta))
        time[active[stamped]] = extended[stamped]
        is_data = type_len < _PADDING
        payload = np.where(type_len == 0, at + 2, at + 1)
        found.append((payload[is_data], time[active][is_data], active[is_data]))
        length = np.where(type_len == 0, second, 4 * type_len).astype(np.int64)
        length[type_len == _PADDING] = second[type_len == _PADDING]
        length[type_len > _PADDING] = 4
        cursor[active] += 4 + length
        finished = (type_len == _PADDING) & (delta == 0)
        cursor[active[finished]] = end[active[finished]]
    return _in_order(words, found)


def _in_order(
    words: NDArray[np.uint32], found: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]
) -> Payloads:
    if not found:
        empty = np.zeros(0, np.int64)
        return Payloads(words, empty, empty.astype(np.uint64), empty)
    position, time, page = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(position, kind="stable")
    return Payloads(words, position[order].astype(np.int64), time[order], page[order].astype(np.int64))
