# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of reads that meet bad copies, one by one: devices that fail or are missing, pages, parity."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from reference.direct_io.mainline import BadBlock, File, Outcome, Reader, Timing, Volume
from reference.direct_io.source import Compression, ExtentType, FileExtent, IoVec, Request
from reference.ondisk import BlockGroupFlag, Chunk, ChunkMap, ChunkStripe
from reference.readahead.source import Stripe

BLOCK = 4096
MIB = 1 << 20
DISK = 16 * MIB
DATA = BlockGroupFlag.DATA
BLOCKS = 64


class Contents:
    """What was written is ones; each copy that is bad has the number of its device."""

    def __init__(self, bad: Mapping[Stripe, BadBlock]) -> None:
        self.bad = dict(bad)

    def raw(self, _logical: int, length: int) -> memoryview:
        return memoryview(b"\1" * length)

    def copy(self, devid: int, physical: int, _logical: int, length: int) -> memoryview:
        blocks = (Stripe(devid, physical + inside) for inside in range(0, length, BLOCK))
        return memoryview(b"".join(bytes([devid if b in self.bad else 1]) * BLOCK for b in blocks))

    def bad_blocks(
        self, devid: int, physical: int, _logical: int | None, length: int, /
    ) -> dict[int, BadBlock]:
        found = {inside: self.bad.get(Stripe(devid, physical + inside)) for inside in range(0, length, BLOCK)}
        return {inside: bad for inside, bad in found.items() if bad is not None}

    def inflated(self, _extent: FileExtent) -> memoryview | None:
        return None


def volume(profile: BlockGroupFlag, devices: int, *, missing: int = 0, read_only: bool = False) -> Volume:
    stripes = tuple(ChunkStripe(n, n * MIB) for n in range(1, devices + 1))
    chunks = ChunkMap([Chunk(0, 1 << 30, DATA | profile, stripes)])
    return Volume(chunks, frozenset(range(1, devices + 1 - missing)), read_only)


def reader(on: Volume, bad: Mapping[Stripe, BadBlock], *, nodatasum: bool = False) -> Reader:
    length = BLOCKS * BLOCK
    item = FileExtent(0, ExtentType.REG, Compression.NONE, length, DISK, length, 0, length)
    return Reader(File(length, [item], nodatasum), on, Contents(bad))


def at(devid: int, block: int) -> Stripe:
    return Stripe(devid, devid * MIB + DISK + block * BLOCK)


def place(on: Volume, block: int) -> Stripe:
    mapping = on.chunks.map_block(DISK + block * BLOCK)
    assert mapping is not None
    return mapping.stripes[0]


def read(of: Reader, first: int, blocks: int, *, buffered: bool, timing: Timing | None = None) -> Outcome:
    odd = 1 if buffered else 0
    iov = [IoVec(odd, blocks * BLOCK)]
    return of.read(Request(first * BLOCK, iov, blocks * BLOCK), timing=timing)


def first_bytes(outcome: Outcome) -> list[int]:
    """Return what the first byte of each piece of memory is."""
    return [data[0] if isinstance(data, memoryview) else 0 for _, data in outcome.writes]


def test_a_bio_that_fails_is_read_again_block_by_block_and_all_of_it_written() -> None:
    mirrored = volume(BlockGroupFlag.RAID1, 2)
    done = read(reader(mirrored, {at(1, 2): BadBlock.UNREADABLE}), 0, 4, buffered=False).completion
    assert [bio.devid for bio in done.reads] == [2] * 4
    assert [bio.devid for bio in done.writes] == [1] * 4
    assert (+done.read_errs, +done.corruption_errs) == ({1: 1}, {})


def test_reads_that_are_only_ahead_are_not_counted_when_they_fail() -> None:
    mirrored = volume(BlockGroupFlag.RAID1, 2)
    done = read(reader(mirrored, {at(1, 2): BadBlock.UNREADABLE}), 0, 4, buffered=True).completion
    assert (len(done.reads), +done.read_errs) == (4, {})


def test_nothing_is_repaired_where_it_is_mounted_read_only() -> None:
    mirrored = volume(BlockGroupFlag.RAID1, 2, read_only=True)
    done = read(reader(mirrored, {at(1, 2): BadBlock.CORRUPT}), 0, 4, buffered=False).completion
    assert (len(done.reads), done.writes) == (1, [])


def test_each_page_that_cannot_be_read_makes_readahead_smaller_until_there_is_none() -> None:
    one = reader(volume(DATA, 1), {at(1, 0): BadBlock.CORRUPT})
    lengths = []
    for _ in range(7):
        assert read(one, 0, 1, buffered=True).returned == -errno.EIO
        lengths.append(next(bio.length // BLOCK for bio in read(one, 1, 60, buffered=True).bios))
        one.cache.drop()
    # 1024 pages at first, then 256, 64, 16, 4 and 1, but as many as 32; and none.
    assert lengths == [60, 60, 32, 32, 32, 1, 1]


def test_pages_of_a_bio_that_failed_are_read_one_by_one_up_to_the_bad_one() -> None:
    outcome = read(reader(volume(DATA, 1), {at(1, 5): BadBlock.CORRUPT}), 0, 8, buffered=True)
    assert outcome.returned == 5 * BLOCK
    assert [bio.length // BLOCK for bio in outcome.bios] == [8, 1, 1, 1, 1, 1, 1]


def test_without_checksums_a_corrupt_copy_is_written_over_a_good_one_if_a_neighbour_fails() -> None:
    mirrored = volume(BlockGroupFlag.RAID1, 2)
    bad = {at(1, 0): BadBlock.UNREADABLE, at(2, 1): BadBlock.CORRUPT}
    outcome = read(reader(mirrored, bad, nodatasum=True), 0, 2, buffered=False)
    assert first_bytes(outcome) == [1, 2]
    assert outcome.completion.repaired == {at(1, 0): at(2, 0), at(1, 1): at(2, 1)}


def test_a_page_that_is_read_again_has_what_was_written_over_its_copy() -> None:
    mirrored = volume(BlockGroupFlag.RAID1, 2)
    # The third block fails on both: so all pages are read again, from the first device.
    bad = {at(1, 0): BadBlock.CORRUPT, at(1, 2): BadBlock.UNREADABLE, at(2, 2): BadBlock.UNREADABLE}
    outcome = read(reader(mirrored, bad, nodatasum=True), 0, 3, buffered=True)
    assert (outcome.returned, first_bytes(outcome)[:2]) == (2 * BLOCK, [1, 1])


def test_if_the_error_of_what_cannot_be_read_is_lost_nobody_knows_what_memory_has() -> None:
    striped = volume(BlockGroupFlag.RAID0, 2)
    for bad, unknown in ((BadBlock.UNREADABLE, True), (BadBlock.CORRUPT, False)):
        for buffered in (False, True):
            one = reader(striped, {place(striped, 0): bad})
            outcome = read(one, 0, 32, buffered=buffered, timing=Timing(returned=32 * BLOCK))
            assert (outcome.returned, outcome.error_lost) == (32 * BLOCK, True)
            assert outcome.memory_unknown is unknown


def test_each_block_of_a_missing_device_costs_a_row() -> None:
    rows = volume(BlockGroupFlag.RAID5, 3, missing=1)
    first = next(block for block in range(0, BLOCKS, 16) if place(rows, block).devid == 3)
    outcome = read(reader(rows, {}), first, 4, buffered=False)
    assert (outcome.returned, outcome.bios) == (4 * BLOCK, [])
    assert [(bio.devid, bio.length) for bio in outcome.completion.reads] == [(1, 65536), (2, 65536)] * 4
    assert outcome.completion.writes == []


def test_raid6_gives_up_one_stripe_after_the_other_and_writes_once_for_each() -> None:
    rows = volume(BlockGroupFlag.RAID6, 5)
    row = rows.chunks.row(DISK)
    others = [stripe for n, stripe in enumerate(row.stripes) if n != row.wanted]
    bad = {row.stripes[row.wanted]: BadBlock.CORRUPT, others[0]: BadBlock.CORRUPT}
    outcome = read(reader(rows, bad), 0, 1, buffered=False)
    assert outcome.returned == BLOCK
    written = {Stripe(bio.devid, bio.physical) for bio in outcome.completion.writes}
    assert written == {row.stripes[row.wanted]}
    assert len(outcome.completion.writes) > 1
