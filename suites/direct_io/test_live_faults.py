# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads of what is bad on the running kernel, on evidence enough to mean it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.kernels import HOST, resolve
from harness.run import Observer, RunPlan, run_cases
from harness.verdicts import CaseVerdict, Verdict
from suites.direct_io.fault_cases import CASES

pytestmark = [pytest.mark.live, pytest.mark.fuse]

NAMES = ("data-unreadable-raid6", "some-missing-raid1", "some-sums-raid1")
CHOSEN = [case for case in CASES if case.id.removeprefix("direct_io/") in NAMES]
READS = 120 + 60 + 60


@pytest.mark.timeout(600)
def test_every_read_is_as_predicted(tmp_path: Path) -> None:
    run_cases(
        RunPlan(CHOSEN, [resolve(HOST)], tmp_path / "out", tmp_path / "work", seed=20261122), Observer()
    )
    verdicts = [
        CaseVerdict.from_json(json.loads(file.read_text()))
        for file in tmp_path.glob("out/host/*/verdict.json")
    ]
    assert [(v.case, v.verdict) for v in verdicts if v.verdict is not Verdict.PASS] == []
    counted = sum(check.compared for v in verdicts for check in v.checks if check.name == "return values")
    assert (len(verdicts), counted) == (len(NAMES), READS)
