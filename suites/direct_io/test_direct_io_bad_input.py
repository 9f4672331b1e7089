# SPDX-License-Identifier: GPL-2.0-or-later
"""What cannot be recorded or shrunk is told in one clear line, and nothing is left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.bundle import Bundle
from harness.direct_io.describe import check_unchanged, file_ids, file_stamps
from harness.direct_io.plan import Plan
from harness.direct_io.reads import make_reads
from harness.direct_io.record import DirectRead
from harness.errors import InfrastructureError, UserError
from harness.kernels import HOST, resolve
from harness.run import Observer, RunPlan, run_cases
from harness.verdicts import CaseVerdict, Verdict
from suites.direct_io.cases import CASES
from suites.meta.commands import complaint, iodiff

OLD = Path(__file__).parents[1] / "data/direct_io/host/damaged-raid10"


def test_a_mount_that_is_not_btrfs() -> None:
    with pytest.raises(UserError, match=r"/proc/version is not on btrfs: give a file of a mounted btrfs$"):
        file_ids(Plan([], ["version"]), Path("/proc"))


def test_a_file_that_changes(tmp_path: Path) -> None:
    plan = Plan([], ["a", "b"])
    for name in plan.read:
        (tmp_path / name).write_bytes(b"1")
    stamps = file_stamps(plan, tmp_path)
    check_unchanged(plan, tmp_path, stamps)
    with pytest.raises(InfrastructureError, match=r"^b was changed by somebody else .* run the case again$"):
        check_unchanged(plan, tmp_path, stamps | {"b": stamps["b"] - 1})


@pytest.mark.live
def test_a_case_whose_file_changes_is_undecided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disturbed(paths: Sequence[Path], *rest: Any) -> list[DirectRead]:
        done = make_reads(paths, *rest)
        with paths[0].open("ab") as file:
            file.write(b"!")
        return done

    monkeypatch.setattr("suites.direct_io.cases.make_reads", disturbed)
    chosen = [case for case in CASES if case.id == "direct_io/small-raid10"]
    run_cases(RunPlan(chosen, [resolve(HOST)], tmp_path / "out", tmp_path / "work", seed=1), Observer())
    (file,) = tmp_path.glob("out/host/*/verdict.json")
    verdict = CaseVerdict.from_json(json.loads(file.read_text()))
    assert verdict.verdict is Verdict.UNDECIDED
    assert "files/0 was changed by somebody else" in verdict.reasons[0]


def test_shrinking_without_a_plan_or_anything_wrong(tmp_path: Path) -> None:
    assert Bundle.open(OLD).path == OLD
    done = iodiff("shrink", OLD, "--work", tmp_path / "work")
    assert "every read is as predicted" in complaint(done)
    assert not (tmp_path / "work").exists()


def test_shrinking_what_is_no_bundle(tmp_path: Path) -> None:
    assert "bundle" in complaint(iodiff("shrink", tmp_path, "--work", tmp_path / "work"))
