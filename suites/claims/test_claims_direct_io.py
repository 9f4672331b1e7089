# SPDX-License-Identifier: GPL-2.0-or-later
"""What is concluded of the direct reads of 2010, and from which records and models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness.bundle import Bundle
from harness.claims import Conclusion, Table
from harness.direct_io.record import DirectRead
from reference.direct_io.mainline import File
from reference.direct_io.run import run
from reference.direct_io.source import Compression, ExtentType, FileExtent, IoVec
from reference.direct_io.synthetic import BLOCK, Case, ExtentSpec
from suites.claims import direct_io_costs, direct_io_design, direct_io_recorded
from suites.claims.direct_io import FULL_READ
from suites.claims.direct_io_costs import costs, file_of_2010
from suites.claims.direct_io_design import by_design, kind_read
from suites.claims.direct_io_recorded import (
    EMPTY,
    ODD,
    SEVERAL,
    TWICE,
    UNALIGNED,
    Recorded,
    by_kernel,
    kinds_of,
    named_kind,
    recorded,
)
from suites.claims.measure import DATA, Workbench

RAID10 = DATA / "direct_io/host/raid10"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(direct_io_design, "CASES", 400)
    monkeypatch.setattr(direct_io_costs, "MOST_REQUESTS", 250)
    direct_io_design._tallies.cache_clear()
    yield
    direct_io_design._tallies.cache_clear()


@pytest.fixture(scope="module")
def records() -> list[Recorded]:
    found, failing = recorded([Bundle.open(RAID10)])
    assert not failing
    return found


def by_row(table: Table) -> dict[str, list[str]]:
    return {str(row[0]): [str(cell) for cell in row[1:]] for row in table.rows}


@pytest.mark.usefixtures("few")
def test_the_design_is_direct_and_the_posted_code_is_not() -> None:
    facts, table = by_design()
    designed = [fact.conclusion for fact in facts if "as designed" in fact.what]
    posted = [fact.conclusion for fact in facts if "as posted" in fact.what]
    assert set(designed) == {Conclusion.REPRODUCED}
    assert set(posted) == {Conclusion.NOT}
    assert len(designed) == len(posted) == len(table.rows) == 7
    for reads, _, design, *as_posted in by_row(table).values():
        assert int(reads) == int(design) == sum(map(int, as_posted))


@pytest.mark.usefixtures("few")
def test_a_design_that_reads_short_is_not_reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*given: object) -> object:
        done = run(*given)  # type: ignore[arg-type]
        return replace(done, result=done.result - 1)

    monkeypatch.setattr(direct_io_design, "run", short)
    facts, _ = by_design()
    assert {fact.conclusion for fact in facts} == {Conclusion.NOT}


@pytest.mark.parametrize(
    ("offset", "length", "kind"),
    [(0, BLOCK, "plain"), (BLOCK, BLOCK, "zlib"), (0, BLOCK + 1, SEVERAL), (BLOCK, 9 * BLOCK, "zlib")],
)
def test_what_a_generated_case_reads(offset: int, length: int, kind: str) -> None:
    extents = (ExtentSpec("plain"), ExtentSpec("zlib"))
    assert kind_read(Case(extents, offset=offset, iov=(IoVec(0, length),))) == kind


ITEMS = (
    FileExtent(0, ExtentType.INLINE, Compression.ZLIB, 100),
    FileExtent(BLOCK, num_bytes=2 * BLOCK, disk_bytenr=BLOCK),
    FileExtent(4 * BLOCK, ExtentType.PREALLOC, num_bytes=BLOCK, disk_bytenr=9 * BLOCK),
    FileExtent(5 * BLOCK, compression=Compression.LZO, num_bytes=BLOCK, disk_bytenr=BLOCK),
    FileExtent(6 * BLOCK, num_bytes=BLOCK),
)
FILE = File(8 * BLOCK, ITEMS)


@pytest.mark.parametrize(
    ("block", "count", "kinds"),
    [
        (0, 1, {"inline, compressed"}),
        (1, 1, {"plain"}),
        (2, 2, {"plain", "hole"}),
        (3, 1, {"hole"}),
        (4, 1, {"preallocated"}),
        (5, 1, {"lzo"}),
        (6, 1, {"hole"}),
        (7, 9, {"hole"}),
        (0, 9, {"inline, compressed", "plain", "hole", "preallocated", "lzo"}),
    ],
)
def test_kinds_of_extents_in_a_range(block: int, count: int, kinds: set[str]) -> None:
    assert kinds_of(FILE, block * BLOCK, (block + count) * BLOCK) == kinds


@pytest.mark.parametrize(
    ("offset", "iov", "kind"),
    [
        (BLOCK, [(0, BLOCK)], "plain"),
        (BLOCK, [(0, BLOCK), (1024, 0)], "plain"),
        (BLOCK, [(0, BLOCK), (7, 0)], EMPTY),
        (BLOCK + 512, [(0, BLOCK)], ODD),
        (BLOCK, [(1024, BLOCK)], ODD),
        (BLOCK, [(0, BLOCK + 1)], UNALIGNED),
        (BLOCK, [(0, BLOCK), (0, BLOCK)], TWICE),
        (BLOCK, [(0, 8 * BLOCK)], SEVERAL),
    ],
)
def test_what_a_request_reads(offset: int, iov: list[tuple[int, int]], kind: str) -> None:
    assert named_kind(FILE, DirectRead(0, offset, [IoVec(*one) for one in iov])) == kind
    assert named_kind(replace(FILE, nodatasum=True), DirectRead(0, offset, [IoVec(*v) for v in iov])) == (
        "plain, no checksums" if kind == "plain" else kind
    )


def test_records_tell_what_was_direct(records: list[Recorded]) -> None:
    rows = by_row(by_kernel(records))
    (kernel,) = by_kernel(records).heads[1:]
    assert kernel == Bundle.open(RAID10).manifest["kernel"]["release"]
    for kind in ("hole", "preallocated", "plain", "plain, no checksums"):
        assert rows[kind][0].startswith("all of ")
    for kind in ("zlib", "lzo", "zstd", ODD, UNALIGNED, TWICE):
        assert rows[kind][0].startswith("none of ")


def test_a_page_in_the_cache_is_no_direct_read(records: list[Recorded]) -> None:
    (record,) = records
    number = next(
        n
        for n, read in enumerate(record.reads)
        if (read.cached, read.nowait, read.returned > 0) == (False, False, True)
        and named_kind(record.layout.files[read.file], read) == "hole"
    )
    before = record.seen[number].pages
    record.seen[number].pages = [0]
    try:
        rows = by_row(by_kernel(records))
        assert not rows["hole"][0].startswith("all of")
    finally:
        record.seen[number].pages = before


def test_a_bundle_that_does_not_pass_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_io_recorded, "judge_direct_reads", lambda *_: type("None", (), {"checks": ()}))
    found, failing = recorded([Bundle.open(RAID10)])
    assert (found, failing) == ([], [str(RAID10)])
    assert str(RAID10) in by_kernel(found, failing).note


@pytest.mark.usefixtures("few")
def test_both_designs_return_the_same_for_recorded_requests(records: list[Recorded]) -> None:
    fact, tables = costs(records)
    assert fact.conclusion is Conclusion.REPRODUCED
    assert [table.heads[3] for table in tables] == ["2010"] * 4
    bios, read, written, cached = map(by_row, tables)
    # 2010 reads compressed extents without the page cache; both inflate or copy every byte.
    assert cached["zlib"][2] == "0.0" != cached["zlib"][-1]
    assert set(written["zlib"][2:]) == {"1.0"}
    # The last bytes of a file, less than a sector, are copied in the design of 2010.
    assert written["plain"][tables[2].heads.index("6.18") - 1] == "0.0"
    assert float(written["plain"][2]) < 0.01
    # The last block is read whole.
    assert all(1 <= float(ratio) < 1.01 for ratio in read["plain"][2:])
    assert set(bios["hole"][2:]) == {"0.0"}


@pytest.mark.usefixtures("few")
def test_wrong_bytes_are_found(records: list[Recorded], monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(*given: object) -> object:
        file = file_of_2010(*given)  # type: ignore[arg-type]
        if file:
            for disk in file.devices.values():
                disk.blocks = {number: bytes(BLOCK) for number in disk.blocks}
            file.csums = dict.fromkeys(file.csums, file.csum_of(bytes(BLOCK)))
        return file

    monkeypatch.setattr(direct_io_costs, "file_of_2010", spoilt)
    assert costs(records)[0].conclusion is Conclusion.NOT


@pytest.mark.usefixtures("few")
def test_the_claim_is_partly_reproduced() -> None:
    found = FULL_READ.measure(Workbench([RAID10]))
    assert {fact.conclusion for fact in found.facts} == {Conclusion.REPRODUCED, Conclusion.NOT}
    assert all(table.rows for table in found.tables)


@pytest.mark.usefixtures("few")
def test_without_records_the_models_are_left() -> None:
    found = FULL_READ.measure(Workbench([DATA / "direct"]))
    assert len(found.tables) == 1
    assert not any("recorded" in fact.what for fact in found.facts)
