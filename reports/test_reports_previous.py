# SPDX-License-Identifier: GPL-2.0-or-later
"""What became of a case the last time stands beside what became of it now."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from harness.verdicts import Verdict
from reports import load_run, print_summary, with_previous, write_all
from reports.conftest import judge, kernel, manifest, record, verdict_of, write_run
from reports.run import Run

CASES = ("extent_state/one", "extent_state/two")


def make_run(runs: Path, number: int, *verdicts: Verdict, label: str = "host") -> Run:
    folder = runs / f"run-{number}"
    for case, verdict in zip(CASES, verdicts, strict=True):
        place = folder / label / case.replace("/", "-")
        record(place, manifest(case))
        judge(place, verdict_of(case, verdict))
    kernels = [kernel("host", CASES, label=label)]
    started = f"2026-11-{number:02}T10:00:00+00:00"
    write_run(folder, CASES, kernels=kernels, started=started, run_id=f"run-{number}")
    run = with_previous(load_run(folder))
    write_all(run, folder)
    return run


def news(run: Run) -> list[str]:
    return [case.news for case in run.cases]


def test_the_newest_run_before_this_one_that_decided_the_case(tmp_path: Path) -> None:
    make_run(tmp_path, 1, Verdict.FAIL, Verdict.FAIL)
    make_run(tmp_path, 2, Verdict.PASS, Verdict.SKIP)
    make_run(tmp_path, 9, Verdict.UNDECIDED, Verdict.UNDECIDED)
    run = make_run(tmp_path, 3, Verdict.FAIL, Verdict.PASS)
    assert news(run) == ["PASS in run run-2", "FAIL in run run-1"]
    assert news(make_run(tmp_path, 4, Verdict.FAIL, Verdict.PASS)) == ["", ""]


def test_another_kernel_is_another_history(tmp_path: Path) -> None:
    make_run(tmp_path, 1, Verdict.FAIL, Verdict.FAIL, label="debian-5.10")
    run = make_run(tmp_path, 2, Verdict.PASS, Verdict.PASS)
    assert [case.previous for case in run.cases] == [None, None]


def test_what_is_no_summary_is_passed_over(tmp_path: Path) -> None:
    for number, text in enumerate(("", "[]", "{}", '{"started": "2026-11-01", "cases": [{}]}')):
        (tmp_path / f"odd-{number}").mkdir()
        (tmp_path / f"odd-{number}" / "summary.json").write_text(text)
    assert news(make_run(tmp_path, 2, Verdict.PASS, Verdict.PASS)) == ["", ""]


def test_every_report_tells(tmp_path: Path) -> None:
    make_run(tmp_path, 1, Verdict.PASS, Verdict.FAIL)
    run = make_run(tmp_path, 2, Verdict.FAIL, Verdict.PASS)
    told = json.loads((run.path / "summary.json").read_text())
    assert [case["previous"]["verdict"] for case in told["cases"]] == ["PASS", "FAIL"]
    for name in ("report.md", "report.html"):
        text = (run.path / name).read_text()
        assert "was PASS in run run-1" in text
        assert "was FAIL in run run-1" in text
    output = io.StringIO()
    print_summary(run, Console(file=output, width=100))
    assert "before: PASS in run run-1" in output.getvalue()
    assert f"{CASES[1]}: was FAIL in run run-1" in output.getvalue()
