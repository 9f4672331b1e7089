# SPDX-License-Identifier: GPL-2.0-or-later
"""Verdicts: how they are drawn from counts, combined, and stored."""

from __future__ import annotations

import json
from itertools import permutations

import pytest

from harness.verdicts import CaseVerdict, Check, Difference, Verdict, worst


def test_a_verdict_comes_back_from_json() -> None:
    first = Difference("model says a, kernel b", 12, 2**63, ("m1", "m2"), ("k1",))
    verdict = CaseVerdict(
        case="extent_state/one",
        suite="extent_state",
        verdict=Verdict.FAIL,
        checks=(
            Check("operations", Verdict.FAIL, 10, 1, "detail", first),
            Check("data", Verdict.PASS, 3),
        ),
        reasons=("why", "why else"),
        events=99,
        lost=1,
        seed=2**32 - 1,
        repeat="./iodiff run extent_state/one",
        judge="./iodiff judge results/one",
        judged_s=0.25,
        counts={"trees released as a whole": 2},
        timeline={"t_s": [0.0], "ops": {"set": [1]}, "live_states": [4], "checkpoints": []},
    )
    stored = json.loads(json.dumps(verdict.to_json()))
    assert stored["format"] == 1
    assert CaseVerdict.from_json(stored) == verdict


def test_the_gravest_verdict_counts() -> None:
    for order in permutations(Verdict):
        assert worst(order) == Verdict.FAIL
    assert worst([Verdict.PASS, Verdict.UNDECIDED, Verdict.SKIP]) == Verdict.UNDECIDED
    assert worst([Verdict.SKIP, Verdict.PASS]) == Verdict.PASS
    assert worst([Verdict.SKIP, Verdict.SKIP]) == Verdict.SKIP


def test_no_verdict_at_all_is_undecided() -> None:
    assert worst([]) == Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("compared", "wrong", "verdict"),
    [(5, 0, Verdict.PASS), (5, 1, Verdict.FAIL), (0, 0, Verdict.UNDECIDED), (0, 1, Verdict.FAIL)],
)
def test_checks_follow_from_their_counts(compared: int, wrong: int, verdict: Verdict) -> None:
    check = Check.of("c", compared, wrong)
    assert (check.verdict, check.compared, check.wrong) == (verdict, compared, wrong)
    assert bool(check.detail) == (verdict == Verdict.UNDECIDED)


def test_a_check_keeps_its_own_words() -> None:
    first = Difference("d")
    assert Check.of("c", 0, 0, detail="no file").detail == "no file"
    assert Check.of("c", 1, 1, first=first).first_difference is first
