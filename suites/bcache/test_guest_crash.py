# SPDX-License-Identifier: GPL-2.0-or-later
"""Power lost under a set of this kernel, a damaged set, and one on failing devices: all as predicted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.bcache.crash.judge import CHECKS, judge_crashes
from harness.bcache.crash.live import record_crashes
from harness.bcache.crash.plan import CrashPlan
from harness.verdicts import Verdict
from loopdevs import Workspace
from suites.bcache.crash_cases import SMALL

pytestmark = pytest.mark.guest

PLAN = replace(CrashPlan(SMALL), batches=12, flush_chance=0.5)
DAMAGES = ("newest journal entry", "leaf")


def test_it_recovers_as_predicted(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "run") as workspace:
        record = record_crashes(PLAN, 1, 3, workspace, DAMAGES, failing=1)
    checks, _ = judge_crashes(record)
    assert [check.name for check in checks] == [f"crash: {name}" for name in CHECKS]
    assert {check.verdict for check in checks} == {Verdict.PASS}, checks
