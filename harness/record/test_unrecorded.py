# SPDX-License-Identifier: GPL-2.0-or-later
"""A case that cannot run on a kernel leaves a bundle that says so."""

from __future__ import annotations

from pathlib import Path

from harness.bundle import Bundle
from harness.cases import Case
from harness.judge.verdict import judge_bundle
from harness.kernels import Kernel
from harness.record.record import RecordPlan
from harness.record.unrecorded import skipped
from harness.verdicts import Verdict
from loopdevs import BtrfsLayout

KERNEL = Kernel("debian:6.1", "debian-6.1", "6.1.0-1-amd64", None, None, None)


def test_a_case_is_skipped_with_every_reason(tmp_path: Path) -> None:
    case = Case("suite/case", "a case", frozenset(), BtrfsLayout(), lambda _experiment: None)
    plan = RecordPlan(case, 7, "run", tmp_path / "case", KERNEL.name)
    skipped(plan, KERNEL, ["this is missing", "and that"])
    verdict = judge_bundle(Bundle.open(tmp_path / "case"))
    assert verdict.verdict is Verdict.SKIP
    assert verdict.reasons == ("this is missing", "and that")
    assert verdict.repeat == "./iodiff run --kernel debian:6.1 --seed 7 suite/case"
