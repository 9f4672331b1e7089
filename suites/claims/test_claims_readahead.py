# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.claims import Conclusion
from suites.claims import readahead, readahead_devices, readahead_disks, virtual_disks
from suites.claims.claim import Claim
from suites.claims.measure import DATA, Workbench
from suites.claims.readahead import BOTH_TREES, EXTENT_TREE, TOGETHER
from suites.claims.readahead_devices import on_disks, speed_ups
from suites.claims.readahead_disks import ALL_DISKS, MIRROR_SIDES, shared
from suites.claims.virtual_disks import VARIED

ROTATIONAL = DATA / "readahead" / "host" / "rotational"
GUEST = DATA / "readahead" / "debian-5.10" / "rotational"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees of a few thousand leaves, so that all variations take a second."""
    for module in (readahead, readahead_disks, virtual_disks):
        monkeypatch.setattr(module, "published_size", lambda: 4000)
    for cached in (readahead._pair, readahead_disks._read):
        cached.cache_clear()


@pytest.mark.parametrize(
    "claim", [EXTENT_TREE, BOTH_TREES, TOGETHER, ALL_DISKS, MIRROR_SIDES], ids=lambda c: c.id
)
@pytest.mark.usefixtures("small")
def test_each_is_measured(claim: Claim) -> None:
    found = claim.measure(Workbench([ROTATIONAL, GUEST]))
    assert found.facts
    assert all(fact.conclusion is not Conclusion.UNTESTABLE for fact in found.facts)
    assert all(table.rows for table in found.tables)
    assert found.plots


def test_variations_are_told_apart() -> None:
    assert len({name for name, _ in VARIED}) == len(VARIED)
    assert len({world for _, world in VARIED}) == len(VARIED)


def reads(*rows: tuple[int, int, int, int]) -> tuple[Any, ...]:
    group, disk, begun, ended = np.array(rows, np.int64).T
    return group, disk, begun, ended


@pytest.mark.parametrize(
    ("rows", "beside"),
    [
        ([(0, 0, 0, 10), (0, 1, 5, 15)], 1),
        ([(0, 0, 0, 10), (0, 1, 10, 15)], 0),
        ([(0, 0, 0, 10), (1, 1, 5, 15)], 0),
        ([(0, 0, 0, 10), (0, 0, 5, 15)], 0),
        ([(0, 0, 0, 10), (0, 1, 5, 15), (0, 0, 12, 20), (0, 1, 30, 40)], 2),
        # In the order in which they were begun, whatever the order of the rows.
        ([(0, 1, 5, 15), (0, 0, 0, 10)], 1),
    ],
)
def test_reads_beside_one_of_the_same_mirror(rows: list[tuple[int, int, int, int]], beside: int) -> None:
    assert shared(*reads(*rows)) == beside


def test_ratios_are_taken_within_a_round() -> None:
    found = speed_ups({"a": [2.0, 1.0, 8.0], "walk": [6.0, 3.0, 16.0]})
    assert (found["a"].low, found["a"].median, found["a"].high) == (2.0, 3.0, 3.0)
    assert list(found) == ["a"]


@pytest.mark.parametrize(("path", "methods"), [(ROTATIONAL, 2), (GUEST, 1)])
def test_recorded_disks_are_concluded_from(path: Path, methods: int) -> None:
    facts, tables, plots = on_disks(Workbench([path]), 2.0)
    told = [fact.conclusion for fact in facts if fact.conclusion is not Conclusion.UNTESTABLE]
    assert told == [Conclusion.REPRODUCED] * methods
    assert len(tables) == len(plots) == 1
    assert Conclusion.PARTLY in {fact.conclusion for fact in on_disks(Workbench([path]), 1000.0)[0]}


def test_without_a_record_nothing_is_concluded() -> None:
    facts, tables, _ = on_disks(Workbench([DATA / "direct"]), 2.0)
    assert [fact.conclusion for fact in facts] == [Conclusion.UNTESTABLE] * 2
    assert not tables


def test_a_record_that_does_not_pass_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROTATIONAL, tmp_path / "rotational")
    failing = SimpleNamespace(verdict="FAIL")
    monkeypatch.setattr(readahead_devices, "judge_bundle", lambda _: failing)
    facts, tables, _ = on_disks(Workbench([tmp_path]), 2.0)
    assert [fact.conclusion for fact in facts] == [Conclusion.UNTESTABLE] * 2
    assert not tables
