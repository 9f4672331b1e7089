# SPDX-License-Identifier: GPL-2.0-or-later
"""Several direct reads at a time on the running kernel, ours and fio's, on evidence enough to mean it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.kernels import HOST, resolve
from harness.run import Observer, RunPlan, run_cases
from harness.verdicts import CaseVerdict, Verdict
from suites.direct_io.deep_cases import CASES as DEEP
from suites.direct_io.fio_cases import CASES as FIO

pytestmark = pytest.mark.live

CHOSEN = [case for case in (*DEEP, *FIO) if case.id in ("direct_io/some-deep", "direct_io/some-fio")]
LEAST_CALLS = 300


@pytest.mark.timeout(600)
def test_every_call_is_as_predicted(tmp_path: Path) -> None:
    run_cases(
        RunPlan(CHOSEN, [resolve(HOST)], tmp_path / "out", tmp_path / "work", seed=20261121), Observer()
    )
    verdicts = [
        CaseVerdict.from_json(json.loads(file.read_text()))
        for file in tmp_path.glob("out/host/*/verdict.json")
    ]
    assert len(verdicts) == 2
    assert [(v.case, v.verdict) for v in verdicts if v.verdict is not Verdict.PASS] == []
    assert sum(check.compared for v in verdicts for check in v.checks if check.name == "calls") >= LEAST_CALLS
