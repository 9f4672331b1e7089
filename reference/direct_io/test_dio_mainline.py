# SPDX-License-Identifier: GPL-2.0-or-later
"""Mainline's rules, as they were measured on 6.18 or read, and all of them against the oracle's data."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from reference.direct_io.mainline import Behaviour, How, Outcome
from reference.direct_io.naive_mainline import as_mainline, judge
from reference.direct_io.source import IoVec, Request
from reference.direct_io.synthetic import BLOCK, Case, ChunkSpec, DiskSpec, ExtentSpec, FaultSpec, build
from reference.direct_io.synthetic_mainline import reader_of
from reference.direct_io.testing import case_of
from reference.ondisk import BlockGroupFlag

MEMORY = 0x100000
NEW = Behaviour.linux_6_18
OLD = Behaviour.linux_5_10
MIB = 1 << 20


def told(case: Case, behaviour: Behaviour = NEW, *, nowait: bool = False) -> Outcome:
    return reader_of(build(case), behaviour).read(case.request, nowait=nowait)


def plain(blocks: int, *, faults: tuple[FaultSpec, ...] = (), pid: int = 0, copies: int = 1) -> Case:
    profile = {1: BlockGroupFlag(0), 2: BlockGroupFlag.RAID1, 3: BlockGroupFlag.RAID1C3}[copies]
    return Case(
        (ExtentSpec("plain", blocks),),
        chunks=(ChunkSpec(profile, tuple(range(1, copies + 1))),),
        disks=(DiskSpec(),) * copies,
        faults=faults,
        pid=pid,
        iov=(IoVec(MEMORY, blocks * BLOCK),),
    )


def ways(prediction: Outcome) -> list[tuple[int, How]]:
    return [(part.end - part.start, part.how) for part in prediction.parts]


@pytest.mark.parametrize(
    "iov",
    [
        (IoVec(MEMORY + 512, BLOCK),),
        (IoVec(MEMORY, 512),),
        (IoVec(MEMORY, BLOCK), IoVec(MEMORY, BLOCK)),
    ],
)
def test_what_is_not_whole_blocks_or_begins_twice_is_buffered(iov: tuple[IoVec, ...]) -> None:
    case = replace(plain(2), iov=iov)
    length = sum(each.iov_len for each in iov)
    assert (told(case).returned, ways(told(case))) == (length, [(length, How.BUFFERED)])
    assert told(replace(plain(2), offset=512)).parts[0].how is How.BUFFERED


def test_holes_and_prealloc_are_direct_without_bios() -> None:
    case = Case((ExtentSpec("hole"), ExtentSpec("prealloc")), iov=(IoVec(MEMORY, 2 * BLOCK),))
    assert (ways(told(case)), told(case).bios) == ([(2 * BLOCK, How.HOLE)], [])


@pytest.mark.parametrize("kind", ["zlib", "inline"])
def test_from_a_compressed_or_inline_extent_on_all_is_buffered(kind: str) -> None:
    first = ExtentSpec(kind, inline_bytes=100)
    case = Case((first, ExtentSpec("plain", 2)), iov=(IoVec(MEMORY, 3 * BLOCK),))
    assert ways(told(case)) == [(3 * BLOCK, How.BUFFERED)]
    case = Case((ExtentSpec("plain"), ExtentSpec("zlib"), ExtentSpec("plain")), iov=case.iov)
    assert ways(told(case)) == [(BLOCK, How.DIRECT), (2 * BLOCK, How.BUFFERED)]


def test_bios_are_cut_at_1_mib_and_in_5_10_at_a_block() -> None:
    assert [bio.length for bio in told(plain(600)).bios] == [MIB, MIB, 600 * BLOCK - 2 * MIB]
    assert [bio.length for bio in told(plain(3), OLD).bios] == [BLOCK] * 3


@pytest.mark.parametrize(
    ("profile", "devices", "lengths"),
    [
        (BlockGroupFlag.RAID0, (1, 2), [64 << 10, 16 << 10]),
        (BlockGroupFlag.RAID10, (1, 2, 3, 4), [64 << 10, 16 << 10]),
        (BlockGroupFlag.RAID1, (1, 2), [80 << 10]),
        (BlockGroupFlag.DUP, (1, 1), [80 << 10]),
    ],
)
def test_only_striped_profiles_are_cut_at_stripes(
    profile: BlockGroupFlag, devices: tuple[int, ...], lengths: list[int]
) -> None:
    case = replace(plain(20), chunks=(ChunkSpec(profile, devices),), disks=(DiskSpec(),) * 4)
    assert [bio.length for bio in told(case).bios] == lengths


def test_the_thread_chooses_the_copy() -> None:
    assert [told(plain(1, copies=3, pid=tid)).bios[0].devid for tid in range(4)] == [1, 2, 3, 1]
    case = replace(plain(1, copies=3, pid=1), disks=(DiskSpec(), DiskSpec(missing=True), DiskSpec()))
    assert told(case).bios[0].devid == 1
    case = replace(plain(1, pid=1), chunks=(ChunkSpec(BlockGroupFlag.DUP, (1, 1)),))
    assert told(case).bios == told(replace(case, pid=0)).bios


def test_a_bad_copy_is_read_again_repaired_and_counted() -> None:
    done = told(plain(3, copies=2, faults=(FaultSpec("corrupt", 0, 1, 0),)))
    assert done.returned == 3 * BLOCK
    assert [(bio.devid, bio.length) for bio in done.completion.reads] == [(2, BLOCK)]
    assert [(bio.devid, bio.length) for bio in done.completion.writes] == [(1, BLOCK)]
    assert +done.completion.corruption_errs == {1: 1}


def test_a_device_that_fails_is_not_counted_as_corrupt() -> None:
    done = told(plain(1, copies=2, faults=(FaultSpec("bad", 0, 0, 0),)))
    assert (done.returned, +done.completion.corruption_errs) == (BLOCK, {})


def test_no_bio_goes_to_a_missing_device() -> None:
    case = plain(1, copies=3, pid=1, faults=(FaultSpec("corrupt", 0, 0, 1),))
    done = told(replace(case, disks=(DiskSpec(), DiskSpec(), DiskSpec(missing=True))))
    assert ([bio.devid for bio in done.completion.reads], [bio.devid for bio in done.completion.writes]) == (
        [1],
        [2],
    )


def test_who_repairs_what_in_which_order() -> None:
    faults = (FaultSpec("corrupt", 0, 0, 1), FaultSpec("corrupt", 0, 0, 2))
    new, old = (told(plain(1, copies=3, pid=1, faults=faults), behaviour) for behaviour in (NEW, OLD))
    assert [bio.devid for bio in new.completion.reads] == [3, 1]
    assert {bio.devid for bio in new.completion.writes} == {2, 3}
    assert [bio.devid for bio in old.completion.reads] == [1]
    assert [bio.devid for bio in old.completion.writes] == [2]
    faults = (FaultSpec("corrupt", 0, 0, 0), FaultSpec("corrupt", 0, 0, 1))
    old = told(plain(1, copies=3, pid=1, faults=faults), OLD)
    assert [bio.devid for bio in old.completion.reads] == [1, 2, 3]


@pytest.mark.parametrize(
    ("tid", "corrupt", "repaired"),
    [
        (0, (1, 2), {1, 2}),
        (0, (1, 3), {1}),
        (0, (2, 3), set()),
        (1, (1, 2), {2}),
        (1, (1, 3), set()),
        (1, (2, 3), {2, 3}),
        (2, (1, 2), set()),
        (2, (1, 3), {1, 3}),
        (2, (2, 3), {3}),
    ],
)
def test_what_6_18_repaired_of_raid1c3(tid: int, corrupt: tuple[int, ...], repaired: set[int]) -> None:
    # Measured on 6.18.44 with threads of each tid % 3: which of the corrupt copies were good afterwards.
    faults = tuple(FaultSpec("corrupt", 0, 1, copy - 1) for copy in corrupt)
    done = told(plain(3, copies=3, pid=tid, faults=faults))
    assert (done.returned, {bio.devid for bio in done.completion.writes}) == (3 * BLOCK, repaired)


def test_with_no_good_copy_all_that_is_direct_fails_and_a_buffered_read_is_short() -> None:
    case = plain(3, faults=(FaultSpec("corrupt", 0, 2),))
    assert told(case).returned == -errno.EIO
    assert told(replace(case, iov=(IoVec(MEMORY + 512, 3 * BLOCK),))).returned == 2 * BLOCK
    assert told(replace(case, nodatasum=True)).returned == 3 * BLOCK


def test_a_bad_compressed_extent_ends_the_read() -> None:
    case = Case((ExtentSpec("plain"), ExtentSpec("zlib", 4)), iov=(IoVec(MEMORY, 5 * BLOCK),))
    assert told(replace(case, faults=(FaultSpec("corrupt", 1, 0),))).returned == BLOCK


def test_memory_behind_the_end_of_the_file() -> None:
    case = replace(plain(1), cut=1000, iov=(IoVec(MEMORY, 3 * BLOCK),))
    new, old = told(case), told(case, OLD)
    assert new.returned == old.returned == BLOCK - 1000
    disk = build(replace(case, cut=0)).devices[1].read(build(case).chunks[0].stripes[0].offset, BLOCK)
    assert disk is not None
    assert new.writes[0] == old.writes[0] == (MEMORY, memoryview(disk))
    assert (new.writes[1:], old.writes[1:]) == ([(MEMORY + BLOCK, 2 * BLOCK)], [])


def test_nowait() -> None:
    assert told(plain(1), nowait=True).returned == BLOCK
    assert told(plain(2), nowait=True).returned == -errno.EAGAIN
    assert told(plain(2), OLD, nowait=True).returned == 2 * BLOCK
    mixed = Case((ExtentSpec("plain"), ExtentSpec("zlib")), iov=(IoVec(MEMORY, 2 * BLOCK),))
    assert told(mixed, OLD, nowait=True).returned == -errno.EAGAIN
    compressed = Case((ExtentSpec("zlib"),), iov=(IoVec(MEMORY, BLOCK),))
    assert told(compressed, nowait=True).returned == -errno.EAGAIN
    odd = replace(plain(1), offset=512, iov=(IoVec(MEMORY, 512),))
    assert told(odd, nowait=True).returned == -errno.EAGAIN
    one = reader_of(build(odd), NEW)
    # What is not waited for is read all the same, and there the next time.
    assert [one.read(odd.request, nowait=True).returned for _ in range(2)] == [-errno.EAGAIN, 512]


def test_in_5_10_pages_that_are_there_forbid_a_read_without_waiting() -> None:
    buffered = IoVec(MEMORY + 512, BLOCK)
    for behaviour, due in ((NEW, BLOCK), (OLD, -errno.EAGAIN)):
        one = reader_of(build(plain(1)), behaviour)
        assert one.read(Request(0, [buffered], BLOCK)).pages == [0]
        assert one.read(plain(1).request, nowait=True).returned == due


def test_behind_the_end_nothing_is_read() -> None:
    done = told(replace(plain(1), offset=BLOCK))
    assert (done.returned, done.bios, done.writes) == (0, [], [])


@pytest.mark.parametrize(
    ("behaviour", "numbers"),
    [
        (NEW, range(2000)),
        (OLD, range(2000)),
        (Behaviour.linux_6_1, range(2000, 3000)),
        (Behaviour.linux_6_12, range(3000, 4000)),
        (Behaviour.linux_7_2, range(4000, 5000)),
    ],
    ids=["6.18", "5.10", "6.1", "6.12", "7.2"],
)
def test_random_cases_are_as_the_rules_say(behaviour: Behaviour, numbers: range) -> None:
    cases = [case for case in map(as_mainline, map(case_of, numbers)) if case is not None]
    assert len(cases) > len(numbers) // 2
    wrong = {case: judge(case, behaviour) for case in cases}
    assert {case: complaint for case, complaint in wrong.items() if complaint} == {}


def test_in_5_10_a_read_behind_a_whole_page_adds_one_more() -> None:
    for cut, due in ((0, [0, 1]), (100, [0])):
        one = reader_of(build(replace(plain(1), cut=cut)), OLD)
        odd = Request(0, [IoVec(MEMORY + 512, 3 * BLOCK)], 3 * BLOCK)
        assert [one.read(odd).pages for _ in range(2)] == [due, []]
        one.cache.drop()
        assert one.read(odd).pages == due


def test_what_cannot_be_in_mainline_is_not_judged() -> None:
    assert as_mainline(Case((ExtentSpec("missing"),))) is None
    assert as_mainline(Case((ExtentSpec("zlib"),), nodatasum=True)) is None
    assert judge(Case((ExtentSpec("unreadable"),)), NEW) == ""
