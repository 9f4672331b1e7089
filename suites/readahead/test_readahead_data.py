# SPDX-License-Identifier: GPL-2.0-or-later
"""The recorded bundles of readaheads are small, pass, and go through what matters together."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.judge.readahead_coverage import BRANCHES
from harness.judge.verdict import judge_bundle
from harness.readahead.record import EVENTS_FILE
from harness.verdicts import CaseVerdict, Verdict
from suites.readahead.faults import DATA

BUNDLES = sorted(path.parent for path in DATA.glob(f"**/{EVENTS_FILE}"))
MOST_BYTES = 500_000
NEEDED = [
    branch for branch in BRANCHES if branch.startswith(("reada_pick_zone", "reada_peer_zones_set_lock"))
]


@cache
def verdict_of(path: Path) -> CaseVerdict:
    return judge_bundle(Bundle.open(path))


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.name)
def test_a_recorded_bundle_is_small_and_passes(path: Path) -> None:
    assert sum(file.stat().st_size for file in path.iterdir()) < MOST_BYTES
    verdict = verdict_of(path)
    assert verdict.verdict == Verdict.PASS
    assert {check.name: check.compared for check in verdict.checks}["blocks picked"] > 100


def test_together_they_take_every_branch_of_the_pick_and_of_the_locks() -> None:
    taken: Counter[str] = Counter()
    for path in BUNDLES:
        taken.update(verdict_of(path).counts)
    assert len(BUNDLES) >= 6
    assert [branch for branch in NEEDED if not taken[branch]] == []
