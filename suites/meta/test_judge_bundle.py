# SPDX-License-Identifier: GPL-2.0-or-later
"""From a whole bundle to its verdict: what each kind of evidence makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.bundle import Bundle
from harness.judge.verdict import judge_bundle
from harness.verdicts import Verdict
from suites.meta.simulated import write_bundle

TROUBLE = "BTRFS critical (device {}): corrupt leaf, bad key order"


def verdicts(folder: Path, **facts: Any) -> dict[str, Verdict]:
    verdict = judge_bundle(write_bundle(folder, **facts))
    return {"": verdict.verdict, **{check.name: check.verdict for check in verdict.checks}}


def test_a_whole_record_passes(tmp_path: Path) -> None:
    found = verdicts(tmp_path / "b", data_verifications=3)
    assert set(found.values()) == {Verdict.PASS}
    assert {"operations", "states", "locks", "checkpoints", "kernel log", "data"} <= found.keys()


def test_lost_events_leave_the_model_out(tmp_path: Path) -> None:
    found = verdicts(tmp_path / "b", lost=1, differs=True)
    assert found[""] is Verdict.UNDECIDED
    assert "operations" not in found


def test_a_recording_that_broke_off_is_undecided(tmp_path: Path) -> None:
    assert verdicts(tmp_path / "b", error="fio died")[""] is Verdict.UNDECIDED


def test_a_difference_outweighs_what_is_missing(tmp_path: Path) -> None:
    assert verdicts(tmp_path / "b", error="fio died", differs=True)[""] is Verdict.FAIL


def test_wrong_data_fails(tmp_path: Path) -> None:
    found = verdicts(tmp_path / "b", data_mismatch="verify: block 7", data_verifications=1)
    assert (found[""], found["data"]) == (Verdict.FAIL, Verdict.FAIL)


def test_the_kernel_s_own_complaint_fails(tmp_path: Path) -> None:
    found = verdicts(tmp_path / "b", log=TROUBLE.format("loop7"), dmesg_overrun=1)
    assert (found[""], found["kernel log"]) == (Verdict.FAIL, Verdict.FAIL)


def test_complaints_about_other_devices_are_not_ours(tmp_path: Path) -> None:
    assert verdicts(tmp_path / "b", log=TROUBLE.format("loop70"))["kernel log"] is Verdict.PASS


def test_an_overrun_log_is_no_evidence(tmp_path: Path) -> None:
    assert verdicts(tmp_path / "b", dmesg_overrun=1)["kernel log"] is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"features": ["symbol:lock_extent"]}, "cannot be told from others"),
        ({"bits": {"EXTENT_LOCKED": 2}}, "the kernel's extent bits lack"),
    ],
)
def test_a_kernel_that_the_model_does_not_know_is_undecided(
    tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    capture = write_bundle(tmp_path / "known").manifest["capture"] | changed
    verdict = judge_bundle(write_bundle(tmp_path / "unknown", capture=capture))
    assert verdict.verdict is Verdict.UNDECIDED
    assert reason in verdict.reasons[0]
    assert not [check for check in verdict.checks if check.by_model]


def test_a_half_written_verdict_does_no_harm(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b")
    (tmp_path / "b" / "verdict.json.tmp").write_text("{")
    assert judge_bundle(Bundle.open(tmp_path / "b")).verdict is Verdict.PASS


def test_the_command_to_repeat_names_the_kernel(tmp_path: Path) -> None:
    def repeat(source: str) -> str:
        kernel = {"release": "6.12.1", "version": "#1", "config_sha256": None, "source": source}
        return judge_bundle(write_bundle(tmp_path / source.replace("/", ""), kernel=kernel)).repeat

    assert repeat("host") == "./iodiff run --seed 3 extent_state/simulated"
    assert repeat("debian:6.12") == "./iodiff run --kernel debian:6.12 --seed 3 extent_state/simulated"
    assert "--kernel '/my build/vmlinuz' --seed" in repeat("/my build/vmlinuz")


def test_the_command_to_repeat_asks_for_the_same_devices(tmp_path: Path) -> None:
    def repeat(kind: str) -> str:
        return judge_bundle(write_bundle(tmp_path / kind, devices={"kind": kind})).repeat

    assert repeat("loop") == "./iodiff run --seed 3 extent_state/simulated"
    assert repeat("drive") == "./iodiff run --guest-devices drives --seed 3 extent_state/simulated"
    assert repeat("rotational") == "./iodiff run --guest-devices rotational --seed 3 extent_state/simulated"
