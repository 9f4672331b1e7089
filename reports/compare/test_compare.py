# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparing runs: what is a regression, what is chance, what is news; and every form of the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.bundle import BundleWriter
from harness.errors import UserError
from harness.verdicts import Check, Difference, Verdict
from reports.compare import Comparison, compare, html, json_text, markdown, sides_of
from reports.compare.correctness import Change
from reports.compare.statistics import Sample, ratio, welch
from reports.conftest import HOSTILE, judge, kernel, manifest, verdict_of, write_run

CASES = ("extent_state/one", "extent_state/two")
JOBS = ("a", "b", "c")
NOISE = 0.2
"""Standard deviation of the logarithm of a bandwidth, as of busy machines."""


def fio(bandwidths: Mapping[str, float]) -> str:
    jobs = [
        {"jobname": job, "read": {"total_ios": 9, "bw_bytes": bw, "iops": bw / 4096}}
        for job, bw in bandwidths.items()
    ]
    return json.dumps({"jobs": jobs})


def make_run(
    folder: Path,
    rng: np.random.Generator,
    *,
    rounds: int = 5,
    slow: str = "",
    verdicts: Mapping[str, Verdict] = {},
    label: str = "host",
) -> Path:
    """Write a run of `CASES`; the case `slow` has half of the bandwidth."""
    trials = []
    for number in range(1, rounds + 1):
        for case in CASES:
            name = case.replace("/", "-") + (f".{number}" if number > 1 else "")
            trials.append({"case": case, "seed": number, "round": number, "folder": name})
            place = folder / label / name
            factor = 0.5 if case == slow else 1.0
            writer = BundleWriter(place)
            noise = {job: 1e8 * factor * float(np.exp(rng.normal(0, NOISE))) for job in JOBS}
            writer.add_text("fio/01.json", fio(noise))
            writer.finish(manifest(case))
            verdict = verdicts.get(case, Verdict.PASS)
            wrong = int(verdict is Verdict.FAIL)
            first = Difference(f"the kernel merges {HOSTILE}") if wrong else None
            judge(place, verdict_of(case, verdict, [Check.of("operations", 10, wrong, first=first)]))
    kernels = [kernel("host", CASES, release="6.18.44", label=label, trials=trials)]
    return write_run(folder, CASES, kernels=kernels)


def compared(*runs: Path, threshold: float = 0.1) -> Comparison:
    return compare(sides_of([str(run) for run in runs]), threshold)


def test_a_device_that_got_slower_is_a_regression(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    before, after = make_run(tmp_path / "a", rng), make_run(tmp_path / "b", rng, slow=CASES[1])
    found = compared(before, after)
    assert {(row.case, side.name) for row, side in found.regressions} == {(CASES[1], "b")}
    assert found.regressed
    assert not compared(after, before).regressed


def test_two_runs_alike_are_hardly_ever_a_regression(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    alarms = 0
    for number in range(20):
        pair = [make_run(tmp_path / f"{number}{side}", rng) for side in "ab"]
        alarms += compared(*pair).regressed
    assert alarms <= 1


def test_a_difference_within_the_threshold_is_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    before, after = make_run(tmp_path / "a", rng), make_run(tmp_path / "b", rng, slow=CASES[0])
    assert not compared(before, after, threshold=0.9).regressed


def test_one_round_tells_nothing_of_speed_and_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    found = compared(
        make_run(tmp_path / "a", rng, rounds=1), make_run(tmp_path / "b", rng, rounds=1, slow=CASES[0])
    )
    assert not found.regressed
    assert "measured 1 time only" in found.notes[0]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (Verdict.PASS, Verdict.FAIL, Change.NEW_FAILURE),
        (Verdict.UNDECIDED, Verdict.FAIL, Change.NEW_FAILURE),
        (Verdict.SKIP, Verdict.FAIL, Change.NEW_FAILURE),
        (Verdict.FAIL, Verdict.PASS, Change.FIXED),
        (Verdict.FAIL, Verdict.FAIL, Change.STILL_FAILS),
        (Verdict.FAIL, Verdict.UNDECIDED, Change.LESS_KNOWN),
        (Verdict.PASS, Verdict.UNDECIDED, Change.LESS_KNOWN),
        (Verdict.UNDECIDED, Verdict.PASS, Change.OTHER),
        (Verdict.PASS, Verdict.SKIP, Change.ONLY_SOME),
        (Verdict.PASS, Verdict.PASS, Change.SAME),
    ],
)
def test_what_became_of_a_case(tmp_path: Path, before: Verdict, after: Verdict, change: Change) -> None:
    rng = np.random.default_rng(5)
    first = make_run(tmp_path / "a", rng, rounds=1, verdicts={CASES[0]: before})
    second = make_run(tmp_path / "b", rng, rounds=1, verdicts={CASES[0]: after})
    found = compared(first, second)
    assert {row.case: row.change for row in found.cases}[CASES[0]] is change
    assert found.regressed is (change is Change.NEW_FAILURE)


def test_every_form_tells_the_first_difference_and_lets_nothing_through(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    runs = [
        make_run(tmp_path / "a", rng),
        make_run(tmp_path / "b", rng, slow=CASES[1], verdicts={CASES[0]: Verdict.FAIL}),
    ]
    found = compared(*runs)
    told = json.loads(json_text(found))
    assert (told["regressed"], told["cases"][0]["change"]) == (True, "new failure")
    page, text = html(found), markdown(found)
    for form in (page, text):
        assert "FAIL 5/5" in form
        assert "REGRESSION" in form
        assert "<script>alert" not in form
    assert "the kernel merges" in page


def test_kernels_of_one_run_are_sides(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    for label in ("host", "debian-6.12"):
        make_run(tmp_path / "run", rng, rounds=1, label=label)
    kernels = [kernel("host", CASES), kernel("debian:6.12", CASES)]
    run = write_run(tmp_path / "run", CASES, kernels=kernels)
    assert [side.name for side in sides_of([str(run)])] == ["host", "debian-6.12"]
    two = [f"{run}@debian-6.12", f"{run}@host"]
    assert [side.name for side in sides_of(two)] == ["run@debian-6.12", "run@host"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("{run}",), "only one side"),
        (("{run}", "{run}"), "given twice"),
        (("{run}@nowhere", "{run}"), "the run has no kernel nowhere: one of host"),
        (("{run}", "nowhere"), "nowhere: no such folder"),
        (("{run}", "{other}"), "no case was run on all sides"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, arguments: Sequence[str], says: str) -> None:
    places: dict[str, Any] = {
        "run": make_run(tmp_path / "run", np.random.default_rng(8), rounds=1),
        "other": write_run(tmp_path / "other", ["extent_state/three"]),
    }
    with pytest.raises(UserError, match=says):
        sides_of([argument.format(**places) for argument in arguments])


def test_ratios_and_chances() -> None:
    one, double = Sample((9.0, 10.0, 11.0)), Sample((18.0, 20.0, 22.0))
    by = ratio(one, double)
    assert by is not None
    assert by.ratio == pytest.approx(2.0)
    assert by.low is not None
    assert by.high is not None
    assert by.low < 2 < by.high
    chance = welch(one, double)
    assert chance is not None
    assert chance < 0.01
    assert welch(one, one) == pytest.approx(1.0)
    assert welch(Sample((5.0,) * 3), Sample((5.0,) * 3)) == 1.0
    assert welch(Sample((1.0, 2.0)), double) is None
    assert ratio(Sample((0.0, 1.0)), one) is None
    assert one.amean == 10.0
    assert one.coeff_var == pytest.approx(10.0)
    assert one.hmean == pytest.approx(9.933, abs=1e-3)
