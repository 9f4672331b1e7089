# SPDX-License-Identifier: GPL-2.0-or-later
"""The copies of a block, read one at a time."""

from __future__ import annotations

import os
from errno import EIO

from harness.metadata.devices import Devices
from reference.ondisk import BlockError, Chunk, ChunkMap, failed_stripes, rebuild
from reference.readahead.source import Stripe

__all__ = ["Copies"]


class Copies:
    """Reads copies of blocks, of whatever profile, unchecked."""

    def __init__(self, chunks: ChunkMap, devices: Devices, nodesize: int) -> None:
        self._chunks = chunks
        self._devices = devices
        self._nodesize = nodesize

    def mirrors(self, bytenr: int) -> list[int]:
        """Return the numbers of the copies of the block at `bytenr`; none if no chunk has it.

        Those on devices that have missed transactions come last: they can be old, and good by themselves.
        """
        chunk, mapping = self._chunks.lookup(bytenr), self._chunks.map_block(bytenr)
        if chunk is None or mapping is None:
            return []
        stale = self._devices.stale
        on_stale = [stripe.devid in stale for stripe in mapping.stripes]
        numbers = range(1, chunk.mirrors + 1)
        return sorted(numbers, key=lambda number: number <= len(on_stale) and on_stale[number - 1])

    def read(self, bytenr: int, mirror_num: int) -> bytes:
        """Return copy `mirror_num`, from 1, of the block; BlockError if a device is missing or fails.

        Of RAID5 and 6, mirrors from 2 on are rebuilt from the rest of the row.
        """
        parts: list[bytes] = []
        place, end = bytenr, bytenr + self._nodesize
        while place < end:
            chunk = self._chunks.lookup(place)
            mapping = self._chunks.map_block(place)
            if chunk is None or mapping is None:
                raise BlockError(bytenr, f"no chunk has address {place}")
            length = min(mapping.length, end - place)
            if chunk.parities and mirror_num > 1:
                part = self._rebuilt(chunk, place, length, mirror_num)
            else:
                part = self._read(mapping.stripes[mirror_num - 1], length)
            if isinstance(part, str):
                raise BlockError(bytenr, part)
            parts.append(part)
            place += length
        return b"".join(parts)

    def _read(self, stripe: Stripe, length: int) -> bytes | str:
        """Return what is on the device, or what is in the way."""
        image = self._devices.images.get(stripe.devid)
        if image is None:
            return f"device {stripe.devid} is missing"
        try:
            return image.read(stripe.physical, length)
        except OSError as error:
            return f"{image.path} cannot be read at {stripe.physical} ({error.strerror or os.strerror(EIO)})"

    def _rebuilt(self, chunk: Chunk, logical: int, length: int, mirror_num: int) -> bytes | str:
        row = self._chunks.row(logical)
        failed = failed_stripes(mirror_num, row.wanted, len(row.stripes))
        read = [
            "given up" if number in failed else self._read(stripe, length)
            for number, stripe in enumerate(row.stripes)
        ]
        present = [None if isinstance(part, str) else part for part in read]
        return rebuild(present, row.wanted, chunk.parities) or "too little is left of its row"
