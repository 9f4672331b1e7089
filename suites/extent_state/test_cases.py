# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.cases import Case
from harness.cli.selection import GROUPS
from harness.fileops import DataMismatchError
from loopdevs import BtrfsLayout
from suites.extent_state import CASES
from suites.extent_state.support import TrackedFile
from suites.extent_state.testing import FileExperiment, RecordingExperiment

PROFILES = {"single": 1, "dup": 1, "raid0": 2, "raid1": 2, "raid1c3": 3, "raid5": 2, "raid10": 2}
"""Least number of devices that mkfs.btrfs asks for."""


@cache
def recorded(case: Case, seed: int = 5) -> RecordingExperiment:
    experiment = RecordingExperiment(case, seed)
    case.run(experiment)
    return experiment


by_id = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def test_ids_are_unique() -> None:
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids))


@by_id
def test_declared_properly(case: Case) -> None:
    assert re.fullmatch(r"extent_state/[a-z0-9]+(-[a-z0-9]+)*", case.id)
    assert case.suite == "extent_state"
    assert case.title
    assert "\n" not in case.title
    assert case.groups
    assert case.groups <= GROUPS.keys()
    assert "quick" not in case.groups or "auto" in case.groups
    assert case.deadline_s > 0


@by_id
def test_layout_has_devices_enough_for_its_profiles(case: Case) -> None:
    layout = case.layout
    assert isinstance(layout, BtrfsLayout)
    assert layout.devices >= max(PROFILES[layout.data], PROFILES[layout.metadata])
    assert layout.metadata != "dup" or layout.devices == 1
    assert layout.size_bytes >= 1 << 30


@by_id
def test_takes_checkpoints_with_names_of_their_own(case: Case) -> None:
    names = recorded(case).checkpoints
    assert len(names) >= 2
    assert len(names) == len(set(names))


@by_id
def test_syncs_before_its_last_checkpoint(case: Case) -> None:
    assert "sync" in recorded(case).asked


@by_id
def test_what_is_asked_for_follows_from_the_seed(case: Case) -> None:
    again, other = RecordingExperiment(case, 5), RecordingExperiment(case, 6)
    case.run(again)
    case.run(other)
    assert recorded(case).asked == again.asked
    assert recorded(case).asked != other.asked


def test_every_group_has_cases_and_the_default_run_covers_every_profile() -> None:
    groups = {group: [c for c in CASES if group in c.groups] for group in ("quick", "auto", "stress")}
    assert all(groups.values())
    layouts = [c.layout for c in groups["quick"] if isinstance(c.layout, BtrfsLayout)]
    assert {layout.data for layout in layouts} >= {"single", "dup", "raid0", "raid1", "raid10"}
    assert len(groups["auto"]) > len(groups["quick"])


def test_one_quick_case_asks_for_more_than_5000_states() -> None:
    case = next(c for c in CASES if c.id == "extent_state/many-states")
    asked = recorded(case).asked
    blocks = [int(m[1]) for a in asked if (m := re.match(r"write_scattered .*'\), (\d+), ", a))]
    assert max(blocks) > 5000


@pytest.fixture
def tracked(tmp_path: Path) -> TrackedFile:
    return TrackedFile(FileExperiment(tmp_path, CASES[0]), "file")


def test_a_tracked_file_knows_its_contents(tracked: TrackedFile) -> None:
    tracked.write(0, 100_000)
    tracked.punch_hole(5000, 20_000)
    tracked.punch_hole(90_000, 50_000)
    tracked.map_write(30_000, 5000)
    tracked.truncate(70_001)
    tracked.direct_write(8192, 4096)
    tracked.preallocate(60_000, 30_000)
    tracked.preallocate_beyond(100_000, 10_000)
    tracked.truncate(120_000)
    tracked.verify()
    assert len(tracked.data) == 120_000


@pytest.mark.parametrize("offset", [0, 777, 9999])
def test_a_wrong_byte_is_a_mismatch_at_its_offset(tracked: TrackedFile, offset: int) -> None:
    tracked.write(0, 10_000)
    tracked.data[offset] ^= 1
    with pytest.raises(DataMismatchError, match=rf"^file: read 0\.\.10000 .*: byte {offset} is"):
        tracked.verify()


def test_a_wrong_length_is_a_mismatch(tracked: TrackedFile) -> None:
    tracked.write(0, 10_000)
    tracked.data.append(0)
    with pytest.raises(DataMismatchError, match="10000 bytes instead of 10001"):
        tracked.verify()


def test_a_clone_is_tracked() -> None:
    # Cloning itself is verified by the cases, on btrfs.
    experiment = RecordingExperiment(CASES[0], 1)
    source, target = TrackedFile(experiment, "source"), TrackedFile(experiment, "target")
    source.data[:] = b"0123456789"
    target.data[:] = b"ab"
    target.clone_from(source, 2, 3, 4)
    assert target.data == b"ab\0\x00234"


def test_scrub_errors_fail_the_case() -> None:
    class Damaged(RecordingExperiment):
        def step(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
            return {"errors": 3, "bytes": 0} if name == "scrub" else super().step(name, function, *arguments)

    case = next(c for c in CASES if c.id == "extent_state/scrub")
    with pytest.raises(DataMismatchError, match="3 errors"):
        case.run(Damaged(case, 1))
