# SPDX-License-Identifier: GPL-2.0-or-later
"""Mistakes about what is peculiar to one kernel: reads that were recorded on it bring each to light."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.direct_io.record import load_layout, load_reads
from harness.judge.direct_io import INFLATED, judge_reads
from harness.judge.known_issues import KNOWN_ISSUE
from harness.judge.verdict import judge_bundle
from suites.direct_io.fault import Fault, broken
from suites.direct_io.kernel_faults import KERNEL_FAULTS

DATA = Path(__file__).parents[1] / "data/direct_io"
NOT_RECORDED = {"bio-stops-before-empty", "zeroing-steps-over"}
"""Rare: one read in 900 brought them to light, in a record from before features were kept."""
FAULTS = [
    pytest.param(
        kernel,
        fault,
        marks=[pytest.mark.xfail(reason="no record of direct_io/data-dup of 7.2 is kept")]
        if fault.name in NOT_RECORDED
        else [],
        id=f"{kernel}-{fault.name}",
    )
    for kernel, faults in KERNEL_FAULTS.items()
    for fault in faults
]


@cache
def opened(path: Path) -> Bundle:
    return Bundle.open(path)


@pytest.mark.parametrize(("kernel", "fault"), FAULTS)
def test_a_fault_comes_to_light(kernel: str, fault: Fault) -> None:
    folders = sorted((DATA / kernel).glob("*"))
    if not folders:
        pytest.skip(f"no reads of {kernel} are kept")
    with broken(fault):
        assert any(map(_fails, folders))


def test_faults_of_every_kernel_that_is_kept() -> None:
    kept = {folder.name for folder in DATA.iterdir() if folder.name.startswith("debian-")}
    assert kept <= set(KERNEL_FAULTS)
    assert "debian-5.10" in kept


def test_what_5_10_writes_over_compressed_copies_is_told_as_a_known_issue() -> None:
    told = {
        path.name: [count for count in judge_bundle(opened(path)).counts if count.startswith(KNOWN_ISSUE)]
        for path in sorted((DATA / "debian-5.10").glob("*"))
    }
    assert told.pop("damaged-raid1c3") == [INFLATED]
    assert not any(told.values())


def _fails(path: Path) -> bool:
    reads, events = load_reads(opened(path))
    try:
        return any(check.wrong for check in judge_reads(load_layout(opened(path)), reads, events).checks)
    except (IndexError, KeyError):
        # The model reads what is not there, or more than there is memory for.
        return True
