# SPDX-License-Identifier: GPL-2.0-or-later
"""`predict`, for a read that comes first, and `Reader`, for one after the other, agree."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import pytest

from reference.direct_io.mainline import Behaviour, BioKind, File, Reader, Volume, predict
from reference.direct_io.mainline.repair import BioRange
from reference.direct_io.source import Compression, FileExtent, IoVec
from reference.direct_io.synthetic import Case, SyntheticFile, build
from reference.direct_io.testing import case_of
from reference.ondisk import ChunkMap

BLOCK = 4096
MEMORY = 0x100000


@dataclass(frozen=True)
class Contents:
    """What is on the devices that are there."""

    file: SyntheticFile
    chunks: ChunkMap

    def raw(self, logical: int, length: int) -> memoryview:
        # The devices are only read in whole sectors.
        begin, wanted = logical % BLOCK, length
        logical, length = logical - begin, -(-(begin + length) // BLOCK) * BLOCK
        parts = []
        while length:
            mapping = self.chunks.map_block(logical)
            assert mapping is not None
            part = min(mapping.length, length)
            stripe = next(s for s in mapping.stripes if s.devid in self.file.devices)
            data = self.file.devices[stripe.devid].read(stripe.physical, part)
            assert data is not None
            parts.append(data)
            logical, length = logical + part, length - part
        return memoryview(b"".join(parts))[begin : begin + wanted]

    def copy(self, devid: int, physical: int, logical: int, length: int) -> memoryview:
        data = self.file.devices[devid].read(physical, length)
        assert data is not None, logical
        return memoryview(data)

    def inflated(self, extent: FileExtent) -> memoryview:
        packed = extent.inline_data or self.raw(extent.disk_bytenr, extent.disk_num_bytes)
        if extent.compression is Compression.NONE:
            return memoryview(packed)
        return memoryview(zlib.decompressobj().decompress(packed))


def reader(file: SyntheticFile, behaviour: Behaviour) -> Reader:
    chunks = ChunkMap(file.chunks)
    items = tuple(sorted(file.extents, key=lambda extent: extent.file_offset))
    volume = Volume(chunks, frozenset(file.devices))
    return Reader(File(file.i_size, items, file.nodatasum), volume, Contents(file, chunks), behaviour)


def healthy(case: Case) -> Case | None:
    """Return the case as one that mainline may read directly, with nothing damaged or out of reach."""
    if any(extent.kind in ("missing", "unreadable") for extent in case.extents):
        return None
    blocks = max(1, sum(vec.iov_len for vec in case.iov) // BLOCK)
    return replace(
        case,
        offset=case.offset & -BLOCK,
        iov=(IoVec(MEMORY, blocks * BLOCK),),
        disks=tuple(replace(disk, logical_block_size=512, missing=False) for disk in case.disks),
        faults=(),
        zero_csum=None,
        ki_left=None,
        unmapped=(),
        allocations=(),
        ordered_error=0,
    )


@pytest.mark.parametrize("behaviour", [Behaviour.linux_6_18, Behaviour.linux_5_10], ids=["6.18", "5.10"])
def test_both_say_the_same_of_a_first_read(behaviour: Behaviour) -> None:
    # Without it both cut alike; of mirrored chunks `predict` does not, as one block is its most on 5.10.
    behaviour = replace(behaviour, mirrored_cut=False)
    compared = 0
    for case in filter(None, map(healthy, map(case_of, range(1500)))):
        file = build(case)
        one = predict(file, case.request, behaviour)
        other = reader(file, behaviour).read(case.request)
        assert one.result == other.returned, case
        bios = [BioRange(*bio[1:]) for bio in other.bios if bio.kind is BioKind.DIRECT]
        assert one.bios == bios, case
        writes = {MEMORY + at - case.offset: data for at, data in one.contents.items()}
        assert _memory(case, writes) == _memory(case, dict(other.writes)), case
        compared += bool(one.bios) + bool(other.pages)
    assert compared > 500


def _memory(case: Case, writes: dict[int, bytes] | dict[int, memoryview | int]) -> bytes:
    memory = bytearray(b"\xa5" * case.iov[0].iov_len)
    for address, data in writes.items():
        held = bytes(data)
        memory[address - MEMORY : address - MEMORY + len(held)] = held
    return bytes(memory)
