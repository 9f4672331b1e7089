# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine of Linux 5.10 itself, recorded in a guest and judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.cases import find_case
from harness.guest.drives import ROTATIONAL
from harness.judge.verdict import judge_bundle
from harness.run import GuestOptions, Observer, RunPlan, run_cases
from harness.verdicts import Verdict
from suites.claims.readahead_recorded import READAHEAD, WALK, times
from suites.guests.sessions import fetched, made_session, record

pytestmark = [pytest.mark.boots, pytest.mark.timeout(900)]

CASE = "readahead/data-three"


def test_a_readahead_is_recorded_and_judged(tmp_path: Path) -> None:
    kernel = fetched("debian:5.10")
    case = find_case(CASE)
    assert case.why_not(kernel) == []
    with made_session(kernel, tmp_path / "work") as session:
        verdict = record(session, case, tmp_path)
    assert verdict.verdict is Verdict.PASS, verdict
    compared = {check.name: check.compared for check in verdict.checks}
    assert compared["blocks picked"] > 150
    assert Bundle.open(tmp_path / "data-three").manifest["capture"]["lost"] == 0


def test_on_rotational_disks_walk_and_readahead_take_turns_with_nothing_in_memory(tmp_path: Path) -> None:
    case, out = find_case("readahead/guest-rotational"), tmp_path / "out"
    options = GuestOptions(devices=ROTATIONAL)
    plan = RunPlan([case], [fetched("debian:5.10")], out, tmp_path / "work", seed=2, guests=options)
    run_cases(plan, Observer())
    bundle = Bundle.open(out / "debian-5.10" / "readahead-guest-rotational")
    assert judge_bundle(bundle).verdict is Verdict.PASS
    assert bundle.manifest["devices"]["kind"] == "rotational"
    found = times(bundle)
    assert max(found[READAHEAD]) < min(found[WALK]), found
    steps = bundle.json("steps.json")
    read = [int(step["result"]) for step in steps if step["name"].startswith("bytes read by")]
    assert len(read) == 10
    assert len(set(read[1:])) == 1, read


def test_a_kernel_without_the_engine_is_not_booted_for_it() -> None:
    (reason,) = find_case(CASE).why_not(fetched("debian:6.1"))
    assert "has no fs/btrfs/reada.c" in reason
