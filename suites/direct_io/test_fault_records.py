# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads of what is bad, recorded on 6.18: the model predicts them, and with each fault it does not."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.direct_io.record import load_layout, load_reads
from harness.judge.direct_io import judge_reads
from harness.judge.verdict import judge_bundle
from harness.verdicts import Check, Verdict
from suites.direct_io.damage_faults import DAMAGE_FAULTS
from suites.direct_io.fault import Fault, broken
from suites.direct_io.fault_cases import CASES

RECORDED = Path(__file__).parents[1] / "data/direct_io/faults"
NAMES = sorted(case.id.partition("data-")[2] for case in CASES if "data" in case.groups)
MOST_BYTES = 500_000


@cache
def opened(name: str) -> Bundle:
    return Bundle.open(RECORDED / name)


def judged(name: str) -> tuple[Check, ...]:
    reads, events = load_reads(opened(name))
    return judge_reads(load_layout(opened(name)), reads, events).checks


def test_every_case_of_the_group_has_its_bundle() -> None:
    assert sorted(path.name for path in RECORDED.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_bundle_is_small_and_passes(name: str) -> None:
    assert sum(file.stat().st_size for file in (RECORDED / name).iterdir()) < MOST_BYTES
    verdict = judge_bundle(opened(name))
    assert verdict.verdict is Verdict.PASS, verdict
    assert {"copies on disk", "corruption_errs", "read_io_errs"} <= {check.name for check in verdict.checks}


def test_there_are_many_faults() -> None:
    assert len({fault.name for fault in DAMAGE_FAULTS}) == len(DAMAGE_FAULTS) >= 20


@pytest.mark.parametrize("fault", DAMAGE_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_comes_to_light(fault: Fault) -> None:
    with broken(fault):
        assert any(_fails(name) for name in NAMES)


def _fails(name: str) -> bool:
    try:
        return any(check.wrong for check in judged(name))
    except (IndexError, KeyError):
        # The model reads what is not there, or more than there is memory for.
        return True
