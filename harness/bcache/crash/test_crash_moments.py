# SPDX-License-Identifier: GPL-2.0-or-later
"""The log of writes, and what disks hold after losses of power."""

from __future__ import annotations

import io
import random
import struct

import pytest

from harness.bcache.crash.moments import KINDS, Disks, Moment, choose, disk_at, flushes_of_both
from harness.bcache.crash.plan import CrashPlan, batches
from harness.bcache.crash.stamps import WRONG, content, stamps_of
from harness.bcache.crash.write_log import SECTOR, Entry, Flag, read_log
from harness.errors import InfrastructureError
from loopdevs import BcacheLayout

MAGIC = 0x6A736677736872
DISKS = Disks(cache_sectors=16, backing_sectors=16, journal=[range(8, 12)])
CACHE, BACKING, JOURNAL = 0, 20, 8


NO_FLAG = Flag(0)


def write(sector: int, byte: int, flags: Flag = NO_FLAG, sectors: int = 1) -> Entry:
    return Entry(sector, sectors, flags, bytes([byte]) * SECTOR * sectors)


def mark(text: str) -> Entry:
    return Entry(0, 0, Flag.MARK, text.encode())


FLUSH = Entry(0, 0, Flag.FLUSH, b"")
CUT = Entry(CACHE, 2, Flag.DISCARD, b"")
JSET = write(JOURNAL, 9, Flag.FUA)


def packed(entries: list[Entry], unit: int = 512) -> io.BytesIO:
    """Return the device of a log, as dm-log-writes writes it in sectors of `unit` bytes."""
    scale = unit // SECTOR
    parts = [struct.pack("<QQQI", MAGIC, 1, len(entries), unit).ljust(unit, b"\0")]
    for entry in entries:
        text = entry.data if entry.mark is not None else b""
        place = entry.sector // scale, entry.sectors // scale
        head = struct.pack("<QQQQ", *place, entry.flags, len(text)) + text
        parts += [head.ljust(unit, b"\0"), b"" if text else entry.data]
    return io.BytesIO(b"".join(parts))


END = mark("dm-log-writes-end")


@pytest.mark.parametrize("unit", [512, 4096])
def test_a_log_is_read_as_it_was_written(unit: int) -> None:
    entries = [write(16, 1, sectors=8), FLUSH, mark("begin"), Entry(8, 16, Flag.DISCARD, b""), JSET]
    if unit == 4096:
        entries[-1] = write(8, 9, Flag.FUA, 8)
    assert read_log(packed([*entries, END], unit)) == entries


@pytest.mark.parametrize(
    ("log", "why"),
    [(packed([JSET]), "no end"), (packed([]), "no end"), (io.BytesIO(bytes(4096)), "no log of writes")],
)
def test_a_log_that_is_not_whole_decides_nothing(log: io.BytesIO, why: str) -> None:
    with pytest.raises(InfrastructureError, match=why):
        read_log(log)


def held(entries: list[Entry], moment: Moment) -> dict[int, int]:
    """Return the first byte of each sector that is not zero."""
    disk = disk_at(entries, moment, DISKS)
    assert len(disk) == DISKS.sectors * SECTOR
    return {n: disk[n * SECTOR] for n in range(DISKS.sectors) if any(disk[n * SECTOR : (n + 1) * SECTOR])}


def test_what_was_made_durable_is_there_and_nothing_else() -> None:
    entries = [write(CACHE, 1), write(BACKING, 2), FLUSH, JSET, write(CACHE, 3), CUT, FLUSH]
    assert held(entries, Moment(0, "lazy", 1)) == {}
    assert held(entries, Moment(3, "lazy", 1)) == {CACHE: 1, BACKING: 2}
    assert held(entries, Moment(5, "lazy", 1)) == {CACHE: 3, BACKING: 2, JOURNAL: 9}
    assert held(entries, Moment(6, "lazy", 1)) == {BACKING: 2, JOURNAL: 9}


def test_of_what_is_flushed_any_part_is_there() -> None:
    entries = [JSET, write(CACHE, 1, sectors=2), write(BACKING, 2), FLUSH, write(CACHE + 4, 3), FLUSH]
    seen = {tuple(held(entries, Moment(1, "flushing", seed))) for seed in range(200)}
    assert len(seen) == 8
    assert all(JOURNAL in sectors and CACHE + 4 not in sectors for sectors in seen)
    # As on any machine, and in any run.
    assert held(entries, Moment(1, "flushing", 5)) == held(entries, Moment(1, "flushing", 5))


def test_a_write_that_is_torn_is_there_in_part() -> None:
    entries = [write(CACHE, 1), write(JOURNAL, 9, Flag.FUA, 3), write(CACHE + 1, 2), FLUSH]
    seen = {tuple(held(entries, Moment(1, "torn", seed))) for seed in range(200)}
    assert len(seen) == 8
    assert all(CACHE in sectors and CACHE + 1 not in sectors for sectors in seen)


def test_of_two_disks_each_flushes_its_own() -> None:
    # The first flush goes before a journal entry: the cache's. Then both are flushed, with another entry.
    entries = [write(BACKING, 1), write(CACHE, 2), FLUSH, JSET, write(BACKING + 1, 3), FLUSH, FLUSH, JSET]
    assert flushes_of_both(entries, DISKS) == [5, 6]
    assert held(entries, Moment(4, "lazy", 1)) == {BACKING: 1, CACHE: 2, JOURNAL: 9}
    assert held(entries, Moment(4, "lazy", 1, two_disks=True)) == {CACHE: 2, JOURNAL: 9}
    both = {BACKING: 1, CACHE: 2, JOURNAL: 9, BACKING + 1: 3}
    assert held(entries, Moment(8, "lazy", 1, two_disks=True)) == both


def test_what_is_written_to_the_backing_disk_with_fua_is_there() -> None:
    entries = [write(BACKING, 1, Flag.FUA), write(BACKING + 1, 2), FLUSH, JSET]
    assert held(entries, Moment(4, "lazy", 1, two_disks=True)) == {BACKING: 1, JOURNAL: 9}


def test_moments_are_of_all_kinds_and_after_the_beginning() -> None:
    entries = [JSET, write(CACHE, 1), FLUSH, write(CACHE, 2), write(CACHE, 3), FLUSH, JSET]
    moments = choose(entries, 2, 60, random.Random(1))
    assert {moment.kind for moment in moments} == set(KINDS)
    assert {moment.two_disks for moment in moments} == {True, False}
    positions = {kind: {m.position for m in moments if m.kind == kind} for kind in KINDS}
    assert positions["torn"] == {6}
    assert positions["flushing"] == {3}
    assert positions["lazy"] == {2, 3, 4, 5, 6}


@pytest.mark.parametrize("block_bytes", [512, 4096])
def test_work_is_in_whole_blocks(block_bytes: int) -> None:
    plan = CrashPlan(BcacheLayout(block_bytes=block_bytes), read_chance=1)
    block = block_bytes // SECTOR
    for batch in batches(plan, 1):
        assert batch.read is not None
        assert batch.read % block == 0
        assert all(write.sector % block == write.sectors % block == 0 for write in batch.writes)


@pytest.mark.parametrize("change", [0, 8, 511])
def test_a_sector_in_pieces_belongs_to_nobody(change: int) -> None:
    data = bytearray(content(7, 100, 3))
    data[512 + change] ^= 1
    assert stamps_of(data, 100).tolist() == [7, WRONG, 7]
    assert stamps_of(content(7, 100, 3), 101).tolist() == [WRONG] * 3
    assert stamps_of(content(7, 100, 1)[:256] + content(8, 100, 1)[256:], 100).tolist() == [WRONG]
