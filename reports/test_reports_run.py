# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.verdicts import Check, Verdict
from reports import load_run
from reports.conftest import CASES, judge, manifest, record, verdict_of, write_run
from reports.totals import add_up, conclusion


def test_cases_come_in_the_order_of_the_run(sample: Path) -> None:
    assert [case.id for case in load_run(sample).cases] == CASES


def test_skipped_case_has_verdict_and_no_manifest(sample: Path) -> None:
    skipped = load_run(sample).cases[3]
    assert skipped.manifest is None
    assert skipped.verdict.verdict is Verdict.SKIP
    assert skipped.folder == sample / "host" / "raid1c4"


def test_run_is_as_bad_as_its_worst_case(sample: Path) -> None:
    assert load_run(sample).verdict is Verdict.FAIL


def test_single_bundle_is_a_run_of_one(sample: Path) -> None:
    run = load_run(sample / "host" / "random-writes")
    assert [case.id for case in run.cases] == [CASES[0]]
    assert [kernel.release for kernel in run.kernels] == ["6.18.44"]
    assert run.run_id == "20261120-101500-ab12"


def test_case_that_was_never_recorded_is_undecided(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", ["s/a"], interrupted=True))
    assert run.cases[0].verdict.verdict is Verdict.UNDECIDED
    assert "interrupted" in run.cases[0].verdict.reasons[0]


def test_interrupted_run_does_not_pass(tmp_path: Path) -> None:
    root = write_run(tmp_path / "r", ["s/a"], interrupted=True)
    record(root / "host" / "a", manifest("s/a"))
    judge(root / "host" / "a", verdict_of("s/a", Verdict.PASS, [Check.of("operations", 5, 0)]))
    run = load_run(root)
    assert run.verdict is Verdict.UNDECIDED
    assert "interrupted" in conclusion(run, add_up(run.cases))


def test_bundle_without_verdict_is_undecided_and_says_how_to_judge(tmp_path: Path) -> None:
    record(tmp_path / "r" / "a", manifest("s/a"))
    verdict = load_run(tmp_path / "r" / "a").cases[0].verdict
    assert (verdict.verdict, verdict.events) == (Verdict.UNDECIDED, 1000)
    assert verdict.judge.endswith(str(tmp_path / "r" / "a"))


def test_changed_bundle_is_refused(sample: Path) -> None:
    (sample / "host" / "random-writes" / "dmesg.txt").write_text("nothing happened\n")
    with pytest.raises(UserError, match=r"dmesg\.txt"):
        load_run(sample)


@pytest.mark.parametrize(
    "change",
    [
        {"checks": None},
        {"verdict": "MAYBE"},
        {"events": "many"},
        {"counts": {"trees released": "some"}},
        {"case": 5},
        {"timeline": {"t_s": [0, 1], "live_states": [1]}},
        {"timeline": {"t_s": [0], "live_states": [float("nan")]}},
    ],
)
def test_verdict_that_makes_no_sense_is_refused(sample: Path, change: dict[str, object]) -> None:
    file = sample / "host" / "random-writes" / "verdict.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(UserError, match="not a verdict"):
        load_run(sample)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": 3}', '{"format": 2}', '{"format": 2, "kernels": [{"name": "host"}]}']
)
def test_run_file_that_makes_no_sense_is_refused(sample: Path, content: str) -> None:
    (sample / "run.json").write_text(content)
    with pytest.raises(UserError, match=r"run\.json"):
        load_run(sample)


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a run nor a case"):
        load_run(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        load_run(tmp_path / "missing")


def test_folder_of_runs_is_refused(sample: Path) -> None:
    with pytest.raises(UserError, match="several runs"):
        load_run(sample.parent)


def test_totals_add_up(sample: Path) -> None:
    totals = add_up(load_run(sample).cases)
    assert totals.verdicts == {Verdict.FAIL: 1, Verdict.UNDECIDED: 1, Verdict.PASS: 2, Verdict.SKIP: 1}
    assert (totals.events, totals.lost) == (2_590_000 + 3000 + 2000 + 10, 17)
    assert totals.lost_reasons == {"ring full": 17, "reader late": 0}
    operations, checkpoints = totals.checks[:2]
    assert (operations.name, operations.compared, operations.wrong) == ("operations", 862_981 + 1000 + 500, 2)
    assert (operations.cases, operations.verdict) == (3, Verdict.FAIL)
    assert (checkpoints.compared, checkpoints.verdict) == (8209, Verdict.UNDECIDED)
    assert totals.largest is not None
    assert totals.largest[0] == CASES[0]
    assert totals.largest[1].live_states == 1648


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        (
            Verdict.PASS,
            "5 comparisons of what the kernel did.*no difference in 1 case, and no event was lost",
        ),
        (Verdict.FAIL, "2 of 5 comparisons.*found a difference, in 1 of 1 case"),
        (Verdict.UNDECIDED, "1 of 1 case could not be decided"),
        (Verdict.SKIP, "Every case was skipped"),
    ],
)
def test_conclusion_says_what_the_verdict_means(tmp_path: Path, verdict: Verdict, says: str) -> None:
    root = write_run(tmp_path / "r", ["s/a"])
    wrong = 2 if verdict is Verdict.FAIL else 0
    checks = [] if verdict is Verdict.SKIP else [Check("operations", verdict, 5, wrong)]
    judge(root / "host" / "a", verdict_of("s/a", verdict, checks))
    run = load_run(root)
    found = conclusion(run, add_up(run.cases))
    assert re.search(says, found), found
