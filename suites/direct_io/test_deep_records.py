# SPDX-License-Identifier: GPL-2.0-or-later
"""Recordings of several reads at a time: they are as predicted, and what is changed in them is noticed."""

from __future__ import annotations

from collections.abc import Callable
from errno import EAGAIN
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from harness.bundle import Bundle, Table
from harness.direct_io.events import Kind
from harness.direct_io.record import DirectRead, Layout, load_layout, load_reads
from harness.judge.direct_io import mainline_reader
from harness.judge.direct_io_calls import SETS, judge_calls
from harness.judge.verdict import judge_bundle
from harness.verdicts import Verdict
from suites.direct_io.concurrent_faults import CONCURRENT_FAULTS
from suites.direct_io.fault import Fault, broken

RECORDED = Path(__file__).parents[1] / "data/direct_io/at-once"
NAMES = sorted(path.name for path in RECORDED.iterdir())
MOST_BYTES = 500_000


@cache
def loaded(name: str) -> tuple[Layout, list[DirectRead], Table]:
    bundle = Bundle.open(RECORDED / name)
    return load_layout(bundle), *load_reads(bundle)


def wrong_checks(name: str, events: Table | None = None, reads: list[DirectRead] | None = None) -> set[str]:
    layout, recorded_reads, recorded = loaded(name)
    judged = judge_calls(layout, reads or recorded_reads, events or recorded, mainline_reader)
    return {check.name for check in judged.checks if check.wrong}


def test_there_are_recordings_of_each_kind() -> None:
    assert {"host-deep", "host-fio", "debian-5.10-deep", "debian-6.12-deep"} <= set(NAMES)


def test_5_10_hands_eagain_to_who_did_not_ask_for_it() -> None:
    """Where a read had begun before it was refused; no other record has that."""
    given = {name for name in NAMES if any(read.returned == -EAGAIN for read in loaded(name)[1])}
    assert given == {"debian-5.10-deep"}


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_small_and_passes(name: str) -> None:
    files = [file for file in (RECORDED / name).rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < MOST_BYTES
    verdict = judge_bundle(Bundle.open(RECORDED / name))
    assert verdict.verdict is Verdict.PASS, verdict
    compared = {check.name: check.compared for check in verdict.checks}
    kinds = {"memory"} if "deep" in name else {"fio's totals"}
    assert all(compared[check] for check in {"calls", "return values", "bios", "cached pages", *kinds})


@pytest.mark.parametrize("name", NAMES)
def test_few_outcomes_are_left_open(name: str) -> None:
    verdict = judge_bundle(Bundle.open(RECORDED / name))
    calls = next(check.compared for check in verdict.checks if check.name == "calls")
    # Where odd reads are made too (docs/direct-io-at-once.md), more of those without waiting need pages; most
    # where four of fio's jobs read the same pages.
    most = calls / 10 if name.startswith("host") else calls / 8 if "deep" in name else calls / 4
    assert 0 < verdict.counts[SETS] < most


@pytest.mark.parametrize("fault", CONCURRENT_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_comes_to_light(fault: Fault) -> None:
    with broken(fault):
        assert any(wrong_checks(name) for name in NAMES)


Change = Callable[[Table, int], None]


def _elsewhere(events: Table, row: int) -> None:
    events["start"][row] += 8


def _longer(events: Table, row: int) -> None:
    events["length"][row] += 4096


def _by_another(events: Table, row: int) -> None:
    pids = events["pid"][events["kind"] == Kind.QUEUED_CALL]
    events["pid"][row] = next(pid for pid in pids.tolist() if pid != events["pid"][row])


def _failed(events: Table, row: int) -> None:
    events["length"][row] = np.array(-5, np.int64).astype(np.uint64)


CHANGES: tuple[tuple[str, Kind, Change, str], ...] = (
    ("a bio elsewhere", Kind.BIO, _elsewhere, "bios"),
    ("a longer bio", Kind.BIO, _longer, "bios"),
    ("a bio of another task", Kind.BIO, _by_another, "bios"),
    ("another page", Kind.PAGE, _elsewhere, "cached pages"),
    ("a direct part elsewhere", Kind.DIRECT, _elsewhere, "direct calls"),
    ("a direct part that failed", Kind.DONE, _failed, "direct results"),
)


@pytest.mark.parametrize(("what", "kind", "change", "check"), CHANGES, ids=[one[0] for one in CHANGES])
@pytest.mark.parametrize("name", NAMES)
def test_what_the_kernel_did_otherwise_is_noticed(
    name: str, what: str, kind: Kind, change: Change, check: str
) -> None:
    events = {column: values.copy() for column, values in loaded(name)[2].items()}
    change(events, _row_of(name, events, kind))
    assert check in wrong_checks(name, events), what


@pytest.mark.parametrize("kind", [Kind.BIO, Kind.PAGE, Kind.DIRECT])
@pytest.mark.parametrize("name", NAMES)
def test_what_the_kernel_did_not_do_is_noticed(name: str, kind: Kind) -> None:
    events = loaded(name)[2]
    row = _row_of(name, events, kind)
    assert wrong_checks(name, {column: np.delete(values, row) for column, values in events.items()})


def _row_of(name: str, events: Table, kind: Kind) -> int:
    """Return an event of a call: of a bio, one of data that a call submitted directly."""
    chosen = (events["kind"] == kind) & (events["length"] > 0)
    if kind is Kind.BIO:
        flags = loaded(name)[0].flags
        chosen &= (events["flags"] & flags["__REQ_META"]) == 0
        chosen &= (events["number"] & 0xFFFFFFFF) != 0
    if kind is Kind.DONE and "5.10" in name:
        pytest.skip("5.10 has no tracepoint iomap_dio_complete")
    rows = np.flatnonzero(chosen)
    return int(rows[len(rows) // 2])
