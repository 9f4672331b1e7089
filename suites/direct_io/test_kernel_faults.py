# SPDX-License-Identifier: GPL-2.0-or-later
"""Mistakes about what is peculiar to one kernel: reads that were recorded on it bring each to light."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.direct_io.record import load_layout, load_reads
from harness.judge.direct_io import judge_reads
from suites.direct_io.fault import Fault, broken
from suites.direct_io.kernel_faults import KERNEL_FAULTS

DATA = Path(__file__).parents[1] / "data/direct_io"
FAULTS = [(kernel, fault) for kernel, faults in KERNEL_FAULTS.items() for fault in faults]


@cache
def opened(path: Path) -> Bundle:
    return Bundle.open(path)


@pytest.mark.parametrize(("kernel", "fault"), FAULTS, ids=lambda one: getattr(one, "name", one))
def test_a_fault_comes_to_light(kernel: str, fault: Fault) -> None:
    folders = sorted((DATA / kernel).glob("*"))
    if not folders:
        pytest.skip(f"no reads of {kernel} are kept")
    with broken(fault):
        assert any(map(_fails, folders))


def test_faults_of_every_kernel_that_is_kept() -> None:
    kept = {folder.name for folder in DATA.iterdir()} - {"host"}
    assert kept <= set(KERNEL_FAULTS)
    assert "debian-5.10" in kept


def _fails(path: Path) -> bool:
    reads, events = load_reads(opened(path))
    try:
        return any(check.wrong for check in judge_reads(load_layout(opened(path)), reads, events).checks)
    except (IndexError, KeyError):
        # The model reads what is not there, or more than there is memory for.
        return True
