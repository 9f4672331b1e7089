# SPDX-License-Identifier: GPL-2.0-or-later
"""A kept bundle with losses of power: its kernel did as predicted; what the allocator took is no loss."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from harness.bcache.crash.judge import judge_recovery
from harness.bcache.crash.live import changed_windows
from harness.bcache.crash.moments import disk_at
from harness.bcache.crash.predict import checked_cache, places, predict
from harness.bcache.crash.record import CrashRecord, load_record
from harness.bundle import Bundle
from harness.judge.verdict import judge_bundle
from harness.verdicts import Verdict

BUNDLE = Path(__file__).parents[1] / "data" / "bcache-crash" / "debian-6.12" / "written-through"


@cache
def record() -> CrashRecord:
    return load_record(BUNDLE)


def test_its_verdict() -> None:
    verdict = judge_bundle(Bundle.open(BUNDLE))
    assert verdict.verdict is Verdict.PASS, verdict.checks
    compared = {check.name: check.compared for check in verdict.checks}
    assert compared["crash: recovered"] == 24
    assert compared["crash: content"] == 24 * (32768 - 16)
    assert verdict.counts["losses of power, torn"] == 8
    [drawn] = verdict.cache_maps
    assert drawn["title"] == "after loss of power 23"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_clean_data_may_go_with_their_bucket(number: int) -> None:
    """In these three the allocator took buckets with clean data."""
    recovery = record().recoveries[number]
    before = disk_at(record().entries, recovery.moment, record().disks)
    left = checked_cache(recovery.disk_after(before), record().disks)
    kept = places(left, False)
    assert sum(sector not in kept for sector in predict(before, record().disks).clean) >= 8
    assert judge_recovery(record(), recovery)["clean"].wrong == 0


def test_clean_data_may_not_go_without_it() -> None:
    """A kernel that forgets the last keys of the journal."""
    recovery = record().recoveries[2]
    before = disk_at(record().entries, recovery.moment, record().disks)
    earlier = replace(recovery.moment, position=recovery.moment.position - 20, kind="lazy")
    windows, changed = changed_windows(before, disk_at(record().entries, earlier, record().disks))
    forgetful = replace(recovery, windows=windows, changed=changed)
    assert judge_recovery(record(), forgetful)["clean"].wrong > 0
