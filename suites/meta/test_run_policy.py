# SPDX-License-Identifier: GPL-2.0-or-later
"""Which cases a run takes, how often, in which order, and what it does about those that fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.bundle import Bundle
from harness.cases import Case, suite_cases
from harness.cli.planning import again, resumed, seconds
from harness.cli.selection import part_of, select, without
from harness.errors import EXIT_FAIL, EXIT_OK, UserError
from harness.kernels import HOST, resolve
from harness.record.record import RecordPlan
from harness.run import CaseList, Observer, RunPlan
from harness.run.row import Row
from harness.run.run import _Run
from harness.verdicts import Verdict
from reports import load_run
from suites.meta.commands import complaint, iodiff
from suites.meta.simulated import write_bundle

CASES = [case for case in suite_cases("extent_state") if "quick" in case.groups][:3]
NAMES = [case.id for case in CASES]


def recorder(fails: Callable[[RecordPlan], bool] = lambda _: False) -> Callable[[RecordPlan], Bundle]:
    """Stand for the kernel: `fails` says which records are to differ from the model."""

    def record(plan: RecordPlan) -> Bundle:
        case = {"id": plan.case.id, "suite": plan.case.suite, "title": "", "groups": ["quick"]}
        told = {"release": resolve(HOST).release, "version": "", "config_sha256": None, "source": HOST}
        facts: dict[str, Any] = {"case": case, "seed": plan.seed, "run_id": plan.run_id, "kernel": told}
        return write_bundle(plan.folder, differs=fails(plan), **facts)

    return record


def run(plan: RunPlan, record: Callable[[RecordPlan], Bundle], stop_after: int = 99) -> Row:
    """Make a run without devices; it is killed after so many cases."""

    class Killed(BaseException):
        pass

    made = _Run(plan, Observer())
    [row] = made.rows
    plan.out.mkdir(parents=True, exist_ok=True)

    def counted(one: RecordPlan) -> Bundle:
        if len(row.verdicts) >= stop_after:
            raise Killed
        return record(one)

    try:
        row.run(counted, nullcontext, lambda _: True)
    except Killed:
        pass
    finally:
        made.write()
    return row


@pytest.fixture
def plan(tmp_path: Path) -> RunPlan:
    return RunPlan(CASES, [resolve(HOST)], tmp_path / "out", tmp_path / "work", seed=7)


def verdicts(folder: Path) -> list[tuple[str, Verdict]]:
    return [(case.id, case.verdict.verdict) for case in load_run(folder).cases]


def test_rounds_have_a_seed_and_a_folder_each(plan: RunPlan) -> None:
    run(replace(plan, rounds=2), recorder())
    cases = load_run(plan.out).cases
    assert [(case.id, case.verdict.seed) for case in cases] == [(n, s) for s in (7, 8) for n in NAMES]
    assert len({case.folder for case in cases}) == 6


def test_until_fail_ends_with_the_first_failure_and_misses_nothing(plan: RunPlan) -> None:
    fails = recorder(lambda one: one.seed == 9 and one.case.id == NAMES[1])
    run(replace(plan, rounds=50, until_fail=True), fails)
    told = load_run(plan.out)
    assert [case.verdict.verdict for case in told.cases] == [Verdict.PASS] * 7 + [Verdict.FAIL]
    assert not told.interrupted


def test_what_the_budget_does_not_suffice_for_is_skipped_with_its_reason(plan: RunPlan) -> None:
    run(replace(plan, budget_s=0.0), recorder())
    told = load_run(plan.out).cases
    assert {case.verdict.verdict for case in told} == {Verdict.SKIP}
    assert told[0].verdict.reasons == ("the time budget of 0 s was used up before it",)


def listed(tmp_path: Path, *lines: str) -> CaseList:
    file = tmp_path / "list"
    file.write_text("\n".join(lines))
    return CaseList.read([file], NAMES)


def test_excluded_cases_are_skipped_and_say_why(plan: RunPlan, tmp_path: Path) -> None:
    run(replace(plan, excluded=listed(tmp_path, f"{NAMES[0]}@host # too slow")), recorder())
    [first, *rest] = load_run(plan.out).cases
    assert first.verdict.reasons == ("excluded: too slow",)
    assert {case.verdict.verdict for case in rest} == {Verdict.PASS}


def test_a_failure_that_was_listed_is_told_and_does_not_fail_the_run(plan: RunPlan, tmp_path: Path) -> None:
    known = listed(tmp_path, f"{NAMES[0]} # reported: a link", f"{NAMES[1]} # mended?")
    run(replace(plan, expected=known), recorder(lambda one: one.case.id == NAMES[0]))
    assert iodiff("report", plan.out).returncode == EXIT_OK
    told = json.loads((plan.out / "summary.json").read_text())
    assert [case["verdict"] for case in told["cases"]] == ["FAIL", "PASS", "PASS"]
    assert told["cases"][0]["known_issues"] == ["fails, as was listed: reported: a link"]
    assert told["cases"][1]["known_issues"] == ["passes, though it was listed to fail: mended?"]
    assert "listed beforehand" in (plan.out / "report.md").read_text()
    suites = ET.parse(plan.out / "junit.xml").getroot()
    assert (suites.get("failures"), len(suites.findall(".//skipped"))) == ("0", 1)


def test_a_failure_that_was_not_listed_still_fails(plan: RunPlan, tmp_path: Path) -> None:
    known = listed(tmp_path, f"{NAMES[0]} # reported: a link")
    run(replace(plan, expected=known), recorder(lambda one: one.case.id == NAMES[1]))
    done = iodiff("report", plan.out)
    assert done.returncode == EXIT_FAIL
    assert "listed beforehand" not in done.stdout


def test_what_failed_is_run_again_with_its_seed(plan: RunPlan) -> None:
    run(replace(plan, rounds=2), recorder(lambda one: one.seed == 8 and one.case.id == NAMES[2]))
    assert [(t.case.id, t.seed) for t in again(plan.out)["host"]] == [(NAMES[2], 8)]


def test_nothing_failed_so_nothing_is_run_again(plan: RunPlan) -> None:
    run(plan, recorder())
    assert again(plan.out) == {}
    done = iodiff("run", "--rerun-failed", plan.out)
    assert (done.returncode, done.stderr) == (EXIT_OK, "")
    assert "no case failed" in done.stdout


@pytest.mark.live
def test_an_interrupted_run_goes_on(plan: RunPlan) -> None:
    """Live only since the kernel that is here is asked whether it will do."""
    run(plan, recorder(), stop_after=1)
    assert [v for _, v in verdicts(plan.out)] == [Verdict.PASS, Verdict.UNDECIDED, Verdict.UNDECIDED]
    assert load_run(plan.out).interrupted
    kept = (plan.out / "host" / CASES[0].folder / "bundle.json").read_bytes()
    (plan.out / "host" / CASES[1].folder).mkdir()  # what a killed run leaves of a case
    run(resumed(plan.out, plan.work), recorder())
    assert verdicts(plan.out) == [(name, Verdict.PASS) for name in NAMES]
    assert (plan.out / "host" / CASES[0].folder / "bundle.json").read_bytes() == kept
    told = json.loads((plan.out / "run.json").read_text())
    assert (told["interrupted"], len(told["resumed"])) == (False, 1)


@pytest.mark.live
def test_what_the_budget_did_not_suffice_for_is_run_when_the_run_goes_on(plan: RunPlan) -> None:
    run(replace(plan, budget_s=0.0), recorder())
    run(resumed(plan.out, plan.work), recorder())
    assert verdicts(plan.out) == [(name, Verdict.PASS) for name in NAMES]


def ids(cases: Sequence[Case]) -> list[str]:
    return [case.id for case in cases]


def test_shards_are_all_cases_each_once() -> None:
    cases = select((), (), ())
    parts = [part_of(cases, f"{n}/4") for n in (1, 2, 3, 4)]
    assert sorted(ids([case for part in parts for case in part])) == sorted(ids(cases))


def test_cases_suites_and_groups_can_be_left_out() -> None:
    left = without(select((), (), ["auto"]), ["direct_io", "extent_state/raid*", "stress"])
    assert left
    assert not [case for case in left if case.suite == "direct_io" or case.id.startswith("extent_state/raid")]


@pytest.mark.parametrize(("text", "time"), [("90", 90), ("2s", 2), ("10m", 600), ("1.5h", 5400)])
def test_times(text: str, time: float) -> None:
    assert seconds(text) == time


@pytest.mark.parametrize("text", ["", "0", "10 minutes", "-3s", "m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="write it like 90s, 10m"):
        seconds(text)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "--shard", "3/2"), "--shard 3/2: write it as 1/3"),
        (("run", "--shard", "900/900"), "use fewer shards"),
        (("run", "--exclude", "nonsense"), "--exclude nonsense: no case, suite or group is called that"),
        (("run", "-x", "*"), "every case is excluded"),
        (("run", "--time-budget", "soon"), "'soon' is no time"),
        (("run", "--exclude-file", "nowhere"), "nowhere: cannot be read"),
        (("run", "--rerun-failed", "nowhere"), "nowhere: no run is there"),
        (("run", "--rerun-failed", "nowhere", "--seed", "3"), "give it without these"),
        (("resume", "nowhere"), "nowhere: no run is there"),
    ],
)
def test_bad_usage_is_one_line(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    assert says in complaint(iodiff(*arguments, cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kernels": [{}]}'])
def test_a_run_that_does_not_tell_enough_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    assert str(tmp_path) in complaint(iodiff("resume", tmp_path))
