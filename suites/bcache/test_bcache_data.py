# SPDX-License-Identifier: GPL-2.0-or-later
"""The recorded bundles of real sets are small and pass, and faults in the model come to light by them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from harness.bcache.record import EVENTS_FILE, events_of, load_set
from harness.bundle import Bundle
from harness.judge.bcache import judge_events
from harness.judge.verdict import judge_bundle
from harness.verdicts import CaseVerdict, Verdict
from reference.bcache.faults import FAULTS

DATA = Path(__file__).parents[1] / "data" / "bcache"
BUNDLES = sorted(path.parent for path in DATA.glob(f"**/{EVENTS_FILE}"))
MOST_BYTES = 500_000
NEEDED = (
    "keys refused",
    "splits",
    "compactions",
    "new roots",
    "coalesced",
    "nodes rewritten",
    "garbage collections",
    "hits",
    "misses",
)
IN_THE_REPLAY = (
    "cut_front_leaves_the_pointer",
    "cut_front_moves_the_pointer_once_too_far",
    "cut_back_leaves_a_sector",
    "merges_what_is_apart_in_the_cache",
    "merges_and_forgets_to_grow",
    "nothing_is_ever_stale",
    "overlaps_are_left",
    "split_extent_loses_its_end",
    "split_extent_keeps_its_middle",
    "replaces_whatever_is_there",
    "replaces_what_only_begins_like_it",
    "sorting_forgets_the_newest_set",
    "sorting_by_where_keys_were",
    "next_set_begins_in_the_last",
    "split_loses_a_key",
    "split_keeps_a_key_in_both",
    "split_ends_the_first_half_early",
    "coalescing_loses_a_key",
    "coalesced_node_keeps_its_key",
    "coalesced_keys_are_put_in_front",
)
"""Faults in what the judge takes from the model."""


@cache
def verdict_of(path: Path) -> CaseVerdict:
    return judge_bundle(Bundle.open(path))


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_recorded_bundle_is_small_and_passes(path: Path) -> None:
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < MOST_BYTES
    verdict = verdict_of(path)
    assert verdict.verdict == Verdict.PASS, verdict
    assert {check.name: check.compared for check in verdict.checks}["keys inserted or refused"] > 1000


def test_together_they_do_what_matters_on_each_kernel() -> None:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for path in BUNDLES:
        counts[path.parent.name].update(verdict_of(path).counts)
    assert counts.keys() == {"debian-6.12", "debian-sid"}
    for kernel, found in counts.items():
        assert [what for what in NEEDED if not found[what]] == [], kernel


def test_collections_of_one_kernel_do_not_pause_by_the_rule_of_the_other() -> None:
    wrong = {
        path: _checks_by_the_other_rule(path) for path in BUNDLES if verdict_of(path).counts.get("pauses")
    }
    assert {"pauses of collections"} in wrong.values()
    assert all(checks <= {"pauses of collections"} for checks in wrong.values())


def _checks_by_the_other_rule(path: Path) -> set[str]:
    bundle = Bundle.open(path)
    found = load_set(bundle)
    other = replace(found, members=[] if found.members else ["bucket_wait_cnt"])
    checks = judge_events(events_of(bundle), other).checks
    return {check.name for check in checks if check.verdict is Verdict.FAIL}


@pytest.mark.parametrize("name", IN_THE_REPLAY)
def test_a_fault_in_the_model_comes_to_light(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[name](monkeypatch.setattr)
    assert any(_fails(path) for path in BUNDLES)


def _fails(path: Path) -> bool:
    bundle = Bundle.open(path)
    judgement = judge_events(events_of(bundle), load_set(bundle))
    return any(check.verdict is Verdict.FAIL for check in judgement.checks)
