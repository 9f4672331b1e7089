# SPDX-License-Identifier: GPL-2.0-or-later
"""What extents hold, kept in a bundle (`reference.direct_io.mainline.Contents`)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from reference.direct_io.mainline import BadBlock
from reference.direct_io.mainline.file import BLOCK
from reference.direct_io.source import Compression, ExtentType, FileExtent
from reference.readahead.source import Stripe

__all__ = ["Compressed", "StoredContents", "compressed_key"]

Compressed = int | bytes
"""What a compressed extent is known by: its logical address, or the data of an inline one."""


def compressed_key(extent: FileExtent) -> Compressed:
    """Return what a compressed extent is known by."""
    return extent.inline_data if extent.type is ExtentType.INLINE else extent.disk_bytenr


class StoredContents:
    """Stretches of raw bytes by logical address, and what compressed extents were made of."""

    def __init__(self, compressed: Mapping[Compressed, bytes]) -> None:
        self.compressed = dict(compressed)
        self.runs: dict[int, bytearray] = {}
        """By logical address, ascending; no two touch each other."""
        self.damaged: dict[Stripe, bytes] = {}
        """Blocks of devices that hold something else now, and what."""
        self.unreadable: set[Stripe] = set()
        """Blocks of devices that cannot be read."""
        self.bad_sums: set[int] = set()
        """Blocks, by logical address, that have the wrong checksum in the tree."""
        self.broken: set[int] = set()
        """Compressed extents, by logical address, that cannot be inflated."""
        self._starts: list[int] = []

    def add(self, logical: int, data: bytes | memoryview) -> None:
        """Add what lies at `logical`, behind all that was added before."""
        if self._starts and self._starts[-1] + len(self.runs[self._starts[-1]]) == logical:
            self.runs[self._starts[-1]] += data
            return
        self._starts.append(logical)
        self.runs[logical] = bytearray(data)

    def raw(self, logical: int, length: int) -> memoryview:
        """Return what is at a logical address (`Contents`); KeyError if that is not kept."""
        place = bisect_right(self._starts, logical) - 1
        if place < 0:
            raise KeyError(logical)
        start = self._starts[place]
        found = memoryview(self.runs[start])[logical - start : logical - start + length]
        if len(found) != length:
            raise KeyError(logical)
        return found

    def copy(self, devid: int, physical: int, logical: int, length: int) -> memoryview:
        """Return what a copy has, damaged or not (`Contents`)."""
        hit = [s for s in self.damaged if s.devid == devid and 0 <= s.physical - physical < length]
        if not hit:
            return self.raw(logical, length)
        data = bytearray(self.raw(logical, length))
        for stripe in hit:
            begin = stripe.physical - physical
            data[begin : begin + len(self.damaged[stripe])] = self.damaged[stripe]
        return memoryview(data)

    def bad_blocks(
        self, devid: int, physical: int, logical: int | None, length: int, /
    ) -> dict[int, BadBlock]:
        """Return which blocks of a copy are bad, by their offset (`Contents`)."""
        found = {}
        if logical is not None and self.bad_sums:
            blocks = range(logical, logical + length, BLOCK)
            found = {block - logical: BadBlock.CORRUPT for block in blocks if block in self.bad_sums}
        for places, bad in ((self.damaged, BadBlock.CORRUPT), (self.unreadable, BadBlock.UNREADABLE)):
            for one in places:
                if one.devid == devid and 0 <= one.physical - physical < length:
                    found[one.physical - physical] = bad
        return found

    def inflated(self, extent: FileExtent) -> memoryview | None:
        """Return all of an extent, inflated (`Contents`); KeyError if that is not kept."""
        if extent.disk_bytenr in self.broken:
            return None
        if extent.compression is Compression.NONE:
            return memoryview(extent.inline_data)
        return memoryview(self.compressed[compressed_key(extent)])
