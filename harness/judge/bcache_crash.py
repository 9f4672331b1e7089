# SPDX-License-Identifier: GPL-2.0-or-later
"""The judgement of a bundle with losses of power under a cache."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from harness.bcache.crash.judge import judge_crashes
from harness.bcache.crash.moments import disk_at
from harness.bcache.crash.predict import Prediction, predict
from harness.bcache.crash.record import FACTS, CrashRecord, Recovery, load_record
from harness.bcache.picture import drawn
from harness.bundle import Bundle
from harness.judge.known_issues import KNOWN_ISSUE
from harness.verdicts import Check

__all__ = ["CrashJudgement", "judge_crash_bundle"]

SAYS_CLEAN = "losses of power with dirty data of which the backing device's superblock knew nothing"
"""`bch_writeback_add` (writeback.h) has it written, but nobody waits for that."""


@dataclass(frozen=True)
class CrashJudgement:
    """Checks, remarks, and what was in the cache."""

    checks: tuple[Check, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    maps: tuple[dict[str, Any], ...] = ()


def judge_crash_bundle(bundle: Bundle) -> CrashJudgement:
    """Judge a bundle's losses of power; no checks if it has none."""
    if not bundle.has(FACTS):
        return CrashJudgement()
    record = load_record(bundle.path)
    checks, known = judge_crashes(record)
    issues = {f"{KNOWN_ISSUE}: {name}": count for name, count in known.items()}
    return CrashJudgement(tuple(checks), {**_counts(record), **issues}, _maps(record))


def _predicted(record: CrashRecord, number: int) -> Prediction:
    return predict(disk_at(record.entries, record.recoveries[number].moment, record.disks), record.disks)


def _kind(recovery: Recovery) -> str:
    if recovery.damage:
        return "damaged sets"
    return "sets on failing devices" if recovery.reads else f"losses of power, {recovery.moment.kind}"


def _counts(record: CrashRecord) -> dict[str, int]:
    kinds = Counter(map(_kind, record.recoveries))
    counts = {kind: kinds[kind] for kind in sorted(kinds)}
    silent = sum(
        1
        for number, recovery in enumerate(record.recoveries)
        if recovery.state == "clean" and _predicted(record, number).dirty
    )
    return {**counts, SAYS_CLEAN: silent} if silent else counts


def _maps(record: CrashRecord) -> tuple[dict[str, Any], ...]:
    """Return what the last loss of power left in the cache."""
    losses = [
        number
        for number, recovery in enumerate(record.recoveries)
        if not recovery.damage and recovery.reads is None
    ]
    if not losses:
        return ()
    title = f"after loss of power {losses[-1]}"
    return tuple(drawn(title, _predicted(record, losses[-1]).checked.live))
