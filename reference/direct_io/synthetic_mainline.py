# SPDX-License-Identifier: GPL-2.0-or-later
"""Synthetic files, as mainline's `Reader` wants them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from reference.direct_io.mainline import BadBlock, Behaviour, File, Reader, Volume
from reference.direct_io.source import Compression, FileExtent
from reference.direct_io.synthetic import BLOCK, SyntheticFile
from reference.ondisk import ChunkMap

__all__ = ["SyntheticContents", "reader_of"]


def reader_of(file: SyntheticFile, behaviour: Behaviour) -> Reader:
    """Return a reader of a file of which nothing is in memory."""
    chunks = ChunkMap(file.chunks)
    items = tuple(sorted(file.extents, key=lambda extent: extent.file_offset))
    volume = Volume(chunks, frozenset(file.devices))
    return Reader(
        File(file.i_size, items, file.nodatasum), volume, SyntheticContents(file, chunks), behaviour
    )


@dataclass(frozen=True)
class SyntheticContents:
    """What is on the devices that are there (`Contents`)."""

    file: SyntheticFile
    chunks: ChunkMap

    def raw(self, logical: int, length: int) -> memoryview:
        """Return the first good copy, block by block; zeros where there is none: nobody reads those."""
        first, end = logical // BLOCK * BLOCK, logical + length
        data = b"".join(self._good(at) for at in range(first, end, BLOCK))
        return memoryview(data)[logical - first : end - first]

    def copy(self, devid: int, physical: int, logical: int, length: int) -> memoryview:
        """Return what a copy has; ValueError if it cannot be read."""
        data = self.file.devices[devid].read(physical, length)
        if data is None:
            raise ValueError(f"what is at {logical} cannot be read from device {devid}")
        return memoryview(data)

    def bad_blocks(
        self, devid: int, physical: int, logical: int | None, length: int, /
    ) -> dict[int, BadBlock]:
        """Return which blocks of a copy cannot be read, or do not have the checksum."""
        assert logical is not None, "there is no parity"
        found: dict[int, BadBlock] = {}
        for inside in range(0, length, BLOCK):
            data = self.file.devices[devid].read(physical + inside, BLOCK)
            if data is None:
                found[inside] = BadBlock.UNREADABLE
            elif not self._fits(data, logical + inside):
                found[inside] = BadBlock.CORRUPT
        return found

    def inflated(self, extent: FileExtent) -> memoryview | None:
        """Return all of an extent; behind what the stream has it is zeros (`zlib_decompress_bio`)."""
        data = extent.inline_data or self.raw(extent.disk_bytenr, extent.disk_num_bytes)
        if extent.compression is Compression.NONE:
            return memoryview(data)
        try:
            return memoryview(zlib.decompressobj().decompress(data).ljust(extent.ram_bytes, b"\0"))
        except zlib.error:
            return None

    def _good(self, logical: int) -> bytes:
        mapping = self.chunks.map_block(logical)
        assert mapping is not None
        for devid, physical in mapping.stripes:
            disk = self.file.devices.get(devid)
            data = disk.read(physical, BLOCK) if disk else None
            if data is not None and self._fits(data, logical):
                return data
        return bytes(BLOCK)

    def _fits(self, data: bytes, logical: int) -> bool:
        return self.file.nodatasum or self.file.csum_of(data) == self.file.csum_at(logical)
