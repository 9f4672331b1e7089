# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of reads during changes on the running kernel, with reads that really met a change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.kernels import HOST, resolve
from harness.run import Observer, RunPlan, run_cases
from harness.verdicts import CaseVerdict, Verdict
from suites.direct_io.writer_cases import CASES

pytestmark = pytest.mark.live

CHOSEN = [case for case in CASES if "quick" in case.groups]
REALLY = 100


@pytest.mark.timeout(300)
def test_every_read_finds_what_is_allowed(tmp_path: Path) -> None:
    run_cases(
        RunPlan(CHOSEN, [resolve(HOST)], tmp_path / "out", tmp_path / "work", seed=20261121), Observer()
    )
    verdicts = [
        CaseVerdict.from_json(json.loads(file.read_text()))
        for file in tmp_path.glob("out/host/*/verdict.json")
    ]
    assert [(v.case, v.verdict) for v in verdicts if v.verdict is not Verdict.PASS] == []
    during = [check.compared for v in verdicts for check in v.checks if check.name == "lengths"]
    assert len(during) == len(CHOSEN)
    assert min(during) >= REALLY
