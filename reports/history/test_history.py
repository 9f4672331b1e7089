# SPDX-License-Identifier: GPL-2.0-or-later
"""The history of cases: an index that follows the runs, failure rates, a page."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import UserError
from harness.verdicts import Verdict
from reports.conftest import HOSTILE, judge, manifest, record, verdict_of, write_run
from reports.history import INDEX, failure_rate, history_page, opened, print_case, print_flaky

CASE = "extent_state/one"


def make_run(runs: Path, number: int, verdict: Verdict = Verdict.PASS, case: str = CASE) -> Path:
    folder = runs / f"run-{number}"
    place = folder / "host" / "case"
    record(place, manifest(case))
    judge(place, verdict_of(case, verdict))
    return write_run(folder, [case], started=f"2026-11-{number:02}T10:00:00+00:00", run_id=f"run-{number}")


def verdicts(runs: Path, case: str = CASE) -> list[str]:
    with opened(runs) as history:
        return [one.verdict for one in history.results(case)]


def test_the_index_follows_the_runs(tmp_path: Path) -> None:
    first = make_run(tmp_path, 2)
    assert verdicts(tmp_path) == ["PASS"]
    make_run(tmp_path, 1, Verdict.FAIL)
    assert verdicts(tmp_path) == ["FAIL", "PASS"]
    # Judged anew, later than what the index knows.
    judge(first / "host" / "case", verdict_of(CASE, Verdict.UNDECIDED))
    (first / "host" / "case" / "verdict.json").touch()
    assert verdicts(tmp_path) == ["FAIL", "UNDECIDED"]
    for file in sorted(first.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    first.rmdir()
    assert verdicts(tmp_path) == ["FAIL"]


def test_it_is_made_again_from_the_runs(tmp_path: Path) -> None:
    make_run(tmp_path, 1)
    with opened(tmp_path) as history:
        before = history.results(), history.figures(CASE, "bandwidth")
    (tmp_path / INDEX).unlink()
    with opened(tmp_path) as history:
        assert (history.results(), history.figures(CASE, "bandwidth")) == before
    assert before[1]


def test_a_run_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    make_run(tmp_path, 1)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text(json.dumps({"format": 1}))
    assert verdicts(tmp_path) == ["PASS"]


def test_a_damaged_index_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match="delete it, it is made again"), opened(tmp_path):
        pass
    with pytest.raises(UserError, match="no such folder"), opened(tmp_path / "nowhere"):
        pass


def test_failure_rates() -> None:
    rate = failure_rate(["PASS"] * 95 + ["FAIL"] * 5 + ["UNDECIDED", "SKIP"])
    assert (rate.failed, rate.decided, rate.undecided, rate.flaky) == (5, 100, 1, True)
    # Wilson's interval for 5 of 100, from the literature.
    assert (round(rate.low, 4), round(rate.high, 4)) == (0.0215, 0.1118)
    assert not failure_rate(["FAIL"] * 3).flaky
    nothing = failure_rate(["SKIP"])
    assert (nothing.decided, nothing.low, nothing.high) == (0, 0.0, 1.0)


def test_what_is_printed_and_the_page(tmp_path: Path) -> None:
    for number, verdict in enumerate((Verdict.PASS, Verdict.FAIL, Verdict.PASS), 1):
        make_run(tmp_path, number, verdict)
    output = io.StringIO()
    console = Console(file=output, width=120)
    with opened(tmp_path) as history:
        print_case(history.results(CASE), console, last=2)
        print_flaky(history.results(), console)
        page = history_page(history, CASE, history.results(CASE))
    told = output.getvalue()
    assert "the last 2 of 3" in told
    assert "run-1" not in told
    assert "host: failed 1 of 3 (6.1-79.2 %)" in told
    assert "flaky" in told
    assert page.count("<svg") == 3
    assert page.index("run-3") < page.index("run-1")


def test_names_from_bundles_do_no_harm(tmp_path: Path) -> None:
    case = f"extent_state/{HOSTILE}"
    make_run(tmp_path, 1, case=case)
    make_run(tmp_path, 2, case=case)
    with opened(tmp_path) as history:
        page = history_page(history, case, history.results(case))
    assert "<script>alert" not in page
    assert "\x1b" not in page
