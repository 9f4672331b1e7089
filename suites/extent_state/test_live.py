# SPDX-License-Identifier: GPL-2.0-or-later
"""The quick group on the running kernel: the kernel and the model agree, on evidence enough to mean it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.cases import Case
from harness.cli.report import write_reports
from harness.errors import EXIT_OK
from harness.kernels import HOST, resolve
from harness.run import RUN_FILE, Observer, RunPlan, run_cases
from harness.verdicts import CaseVerdict, Check, Verdict
from suites.extent_state import CASES
from suites.meta.commands import COMMAND, environment

pytestmark = pytest.mark.live

QUICK = [case for case in CASES if "quick" in case.groups]
SMALL = [case for case in QUICK if case.id.endswith(("/mmap", "/punch-hole", "/fsx"))]
EVENTS = 500_000
LIVE_STATES = 5_000


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run all quick cases once, and return the run folder."""
    folder = tmp_path_factory.mktemp("quick")
    run_cases(RunPlan(QUICK, [resolve(HOST)], folder / "out", folder / "work", seed=20261120), Observer())
    assert not (folder / "work").exists()
    return folder / "out"


@pytest.fixture(scope="module")
def verdicts(out: Path) -> dict[str, CaseVerdict]:
    """Return the verdicts by case, as they were kept."""
    texts = [file.read_text() for file in out.glob("host/*/verdict.json")]
    kept = [CaseVerdict.from_json(json.loads(text)) for text in texts]
    return {verdict.case: verdict for verdict in kept}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.id)
def test_kernel_and_model_agree(case: Case, verdicts: dict[str, CaseVerdict]) -> None:
    verdict = verdicts[case.id]
    assert verdict.verdict is Verdict.PASS, told(verdict)
    assert verdict.lost == 0
    assert all(check.compared > 0 for check in verdict.checks), told(verdict)
    names = {check.name for check in verdict.checks}
    assert names >= {"events recorded", "operations", "states", "locks", "checkpoints", "kernel log"}


def told(verdict: CaseVerdict) -> str:
    """Return what is wrong for whoever reads the failed test: reasons, and each first difference."""
    lines = [f"{verdict.case} is {verdict.verdict}", *verdict.reasons]
    for check in verdict.checks:
        if check.verdict is not Verdict.PASS:
            lines.append(f"{check.name}: {check.wrong} of {check.compared} wrong {check.detail}")
            lines += difference(check)
    return "\n".join([*lines, verdict.repeat])


def difference(check: Check) -> list[str]:
    """Return the lines of a check's first difference."""
    first = check.first_difference
    if first is None:
        return []
    sides = {"model": first.model, "kernel": first.kernel}
    return [first.summary, *(f"  {side} {line}" for side, lines in sides.items() for line in lines)]


def test_the_evidence_is_large(verdicts: dict[str, CaseVerdict]) -> None:
    assert sum(verdict.events for verdict in verdicts.values()) >= EVENTS


def test_a_large_tree_was_identical(out: Path, verdicts: dict[str, CaseVerdict]) -> None:
    largest = 0
    for case in QUICK:
        checkpoints = json.loads((out / HOST / case.folder / "checkpoints.json").read_text())
        check = next(c for c in verdicts[case.id].checks if c.name == "checkpoints")
        if check.verdict is Verdict.PASS:
            largest = max(largest, *(c["live_states"] for c in checkpoints if c["valid"]))
    assert largest > LIVE_STATES


def test_the_reports_tell_the_same(out: Path) -> None:
    assert write_reports(out, out) == EXIT_OK
    assert all((out / name).stat().st_size for name in ("junit.xml", "report.md", "report.html"))
    summary = json.loads((out / "summary.json").read_text())
    assert [(case["id"], case["verdict"]) for case in summary["cases"]] == [(c.id, "PASS") for c in QUICK]
    assert not json.loads((out / RUN_FILE).read_text())["interrupted"]


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.id)
def test_tracefs_comes_to_the_same_verdict(case: Case, tmp_path: Path) -> None:
    plan = RunPlan([case], [resolve(HOST)], tmp_path / "out", tmp_path / "work", seed=1, capture="tracefs")
    (row,) = run_cases(plan, Observer())
    (verdict,) = row.verdicts
    assert verdict.verdict is Verdict.PASS, told(verdict)
    compared = {check.name: check.compared for check in verdict.checks}
    assert compared["operations"] > 0
    assert compared["states"] > 0
    assert "checkpoints" not in compared


def test_two_runs_side_by_side_do_not_disturb_each_other(tmp_path: Path) -> None:
    processes = {name: start(tmp_path / name, case) for name, case in zip("ab", SMALL, strict=False)}
    for name, process in processes.items():
        output, errors = process.communicate(timeout=240)
        assert (process.returncode, errors) == (EXIT_OK, ""), output
        (case,) = json.loads((tmp_path / name / "out" / "summary.json").read_text())["cases"]
        assert (case["verdict"], case["lost"]) == ("PASS", 0)
        assert not (tmp_path / name / "work").exists()


def start(folder: Path, case: Case) -> subprocess.Popen[str]:
    """Start a run of `case` in a process of its own."""
    return subprocess.Popen(
        [*COMMAND, "run", case.id, "--work", folder / "work", "--out", folder / "out"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
