# SPDX-License-Identifier: GPL-2.0-or-later
"""The judgement of a record of bcache: the replay of its btree, its collections, and what is on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.bcache.record import EVENTS_FILE, Event, Kind, SetOnDisk, events_of, load_set
from harness.bundle import Bundle
from harness.judge.bcache_disk import DISK_CHECKS, compare_with_disk
from harness.judge.bcache_gc import GC_CHECKS, Collections
from harness.judge.bcache_replay import CHECKS, COUNTS, Replay
from harness.judge.bcache_tasks import Disagreement
from harness.verdicts import Check, Difference, Verdict
from reference.bcache.behaviour import Behaviour

__all__ = ["BcacheJudgement", "behaviour_of", "judge_bcache", "judge_events"]

_BEFORE = 8
"""Rows shown before one that differs."""
_ONLY_SOMETIMES = (
    "keys found by reads",
    "splits and compactions",
    "nodes coalesced",
    "nodes replaced",
    *GC_CHECKS,
    "gens on disk",
)
"""What need not happen: checks that are left out where nothing of the kind did."""


@dataclass(frozen=True)
class BcacheJudgement:
    """Checks and remarks."""

    checks: tuple[Check, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)


def behaviour_of(found: SetOnDisk) -> Behaviour:
    """Return the behaviour of the kernel that was recorded, told from what its structures have."""
    return Behaviour(gc_pauses_for_searches_only="bucket_wait_cnt" not in found.members)


def judge_bcache(bundle: Bundle) -> BcacheJudgement:
    """Judge a bundle's record of bcache; no checks if it has none. UserError for damaged files."""
    if not bundle.has(EVENTS_FILE) or bundle.manifest["capture"]["lost"]:
        return BcacheJudgement()
    return judge_events(events_of(bundle), load_set(bundle))


def judge_events(events: Sequence[Event], found: SetOnDisk) -> BcacheJudgement:
    """Replay all rows, compare what is left with the disk; after a difference nothing more is compared."""
    replay = Replay(found, behaviour_of(found))
    collections = Collections(replay)
    difference: tuple[int | None, Disagreement] | None = None
    for number, event in enumerate(events):
        try:
            collections.step(event)
            replay.step(event)
        except Disagreement as error:
            difference = number, error
            break
    else:
        try:
            compare_with_disk(replay, found)
        except Disagreement as error:
            difference = None, error
    checks = tuple(_checks(replay, difference, events))
    counts = {name: replay.counts[name] for name in COUNTS} | dict(sorted(collections.counts.items()))
    return BcacheJudgement(checks, counts)


def _checks(
    replay: Replay, difference: tuple[int | None, Disagreement] | None, events: Sequence[Event]
) -> list[Check]:
    checks = []
    for name in (*CHECKS, *GC_CHECKS, *DISK_CHECKS):
        compared = replay.compared[name]
        if difference and difference[1].check == name:
            checks.append(Check.of(name, max(compared, 1), 1, first=_described(*difference, events)))
        elif difference and not compared:
            detail = "not reached: there was a difference before"
            checks.append(Check(name, Verdict.UNDECIDED, 0, 0, detail))
        elif compared or name not in _ONLY_SOMETIMES:
            detail = "up to the first difference" if difference else ""
            checks.append(Check.of(name, compared, 0, detail=detail))
    return checks


def _described(number: int | None, error: Disagreement, events: Sequence[Event]) -> Difference:
    if number is None:
        return Difference(summary=f"after the set was stopped: {error}")
    rows = tuple(_text(i, events[i]) for i in range(max(0, number - _BEFORE), number + 1))
    summary = f"event {number}: {error}"
    return Difference(summary=summary, event=number, time_ns=events[number].time_ns, kernel=rows)


def _text(number: int, e: Event) -> str:
    """Return a row in one line."""
    kind = Kind(e.kind)
    place = f"node {e.node:#x} (level {e.level}, {e.nsets + 1} sets, {e.words} words, {e.written} blocks)"
    if kind is Kind.INSERT:
        replaced = f" for {e.replace_key}" if e.replace_key else ""
        return f"{number} task {e.pid} {kind.name} {e.key}{replaced}: {e.status}, {place}"
    numbers = f"value {e.value}, keys {e.k0:#x} {e.k1:#x} {e.k2:#x} {e.old0:#x}, status {e.status}"
    return f"{number} task {e.pid} {kind.name} {place if e.node else ''} {numbers}, reserve {e.reserve}"
