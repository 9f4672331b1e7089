# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads recorded on 6.18: the model predicts them, and with each fault it does not."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.bundle import Bundle, BundleWriter
from harness.direct_io.record import load_layout, load_reads
from harness.judge.direct_io import LOST_ERROR, judge_reads
from harness.judge.known_issues import KNOWN_ISSUE
from harness.judge.verdict import judge_bundle
from harness.verdicts import Check, Verdict
from suites.direct_io.cases import CASES
from suites.direct_io.fault import Fault, broken
from suites.direct_io.reader_faults import READER_FAULTS

RECORDED = Path(__file__).parents[1] / "data/direct_io/host"
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
    assert all(check.compared > 0 for check in verdict.checks)
    damaged = {"copies on disk", "corruption_errs"}
    assert damaged & {check.name for check in verdict.checks} == (damaged if "damaged" in name else set())


def test_an_error_that_the_kernel_lost_is_told_as_a_known_issue() -> None:
    told = {
        name: [k for k in judge_bundle(opened(name)).counts if k.startswith(KNOWN_ISSUE)] for name in NAMES
    }
    assert told.pop("damaged-raid10") == [LOST_ERROR]
    assert not any(told.values())


def test_there_are_many_faults() -> None:
    assert len({fault.name for fault in READER_FAULTS}) == len(READER_FAULTS) >= 50


@pytest.mark.parametrize("fault", READER_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_comes_to_light(fault: Fault) -> None:
    with broken(fault):
        assert any(_fails(name) for name in NAMES)


def _fails(name: str) -> bool:
    try:
        return any(check.wrong for check in judged(name))
    except (IndexError, KeyError):
        # The model reads what is not there, or more than there is memory for.
        return True


def test_a_kernel_that_is_not_known_leaves_it_undecided(tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(RECORDED / "dup", spoilt)
    layout = json.loads((spoilt / "direct_io_layout.json").read_text())
    (spoilt / "direct_io_layout.json").write_text(json.dumps(layout | {"features": []}))
    facts = json.loads((spoilt / "bundle.json").read_text())
    (spoilt / "bundle.json").unlink()
    verdict = judge_bundle(_finished(spoilt, facts))
    assert verdict.verdict is Verdict.UNDECIDED
    assert any("cannot be told from others" in reason for reason in verdict.reasons)


def test_lost_events_leave_it_undecided(tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(RECORDED / "dup", spoilt)
    facts = json.loads((spoilt / "bundle.json").read_text())
    (spoilt / "bundle.json").unlink()
    facts["capture"] |= {"lost": 1, "lost_reasons": {"lost_ring": 1}}
    verdict = judge_bundle(_finished(spoilt, facts))
    assert verdict.verdict is Verdict.UNDECIDED
    assert "bios" not in {check.name for check in verdict.checks}


def _finished(folder: Path, facts: dict[str, Any]) -> Bundle:
    return BundleWriter.of(folder).finish(
        {key: value for key, value in facts.items() if key not in ("format", "files", "digest")}
    )
