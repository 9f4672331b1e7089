# SPDX-License-Identifier: GPL-2.0-or-later
"""Recoveries judged: those of a real kernel are right, and whatever could be wrong with one is seen.

IODIFF_CRASHES=N tries N moments, for long runs.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.bcache.crash.judge import CHECKS, floors, judge_crashes, judge_recovery
from harness.bcache.crash.live import BEGIN, changed_windows
from harness.bcache.crash.moments import Moment, choose, disk_at
from harness.bcache.crash.predict import checked_cache, predict
from harness.bcache.crash.record import ARRAYS, FACTS, CrashRecord, Recovery, load_record, save_record
from harness.bcache.crash.stamps import WRONG, Stamps
from harness.bcache.crash.testing import as_predicted, kept_record, with_entries, without_barriers
from harness.bcache.crash.write_log import Entry, Flag
from harness.verdicts import Verdict

MOMENTS = int(os.environ.get("IODIFF_CRASHES", "6"))
LAST = 5
"""The recovery of the kept record whose log is longest."""


def begin(entries: Sequence[Entry]) -> int:
    return next(n for n, entry in enumerate(entries) if entry.mark == BEGIN)


def failed(record: CrashRecord, recovery: Recovery) -> set[str]:
    return {name for name, counted in judge_recovery(record, recovery).items() if counted.wrong}


def test_what_a_kernel_recovered_was_predicted() -> None:
    checks, known = judge_crashes(kept_record())
    assert not known
    assert [check.name for check in checks] == [f"crash: {name}" for name in CHECKS[:-2]]
    assert {check.verdict for check in checks} == {Verdict.PASS}, checks
    compared = {check.name: check.compared for check in checks}
    assert compared["crash: content"] == 6 * (32768 - 16)
    assert compared["crash: acknowledged"] == 7367
    assert compared["crash: dirty"] == 7191


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = kept_record()
    save_record(record, tmp_path / FACTS, tmp_path / ARRAYS)
    again = load_record(tmp_path)
    assert (again.plan, again.seed, again.disks) == (record.plan, record.seed, record.disks)
    assert again.entries == record.entries
    for one, other in zip(again.recoveries, record.recoveries, strict=True):
        assert (one.moment, one.lines, one.state, one.windows) == (
            other.moment,
            other.lines,
            other.state,
            other.windows,
        )
        assert np.array_equal(one.stamps, other.stamps)
        assert one.changed == other.changed


def test_no_loss_of_power_takes_what_was_acknowledged() -> None:
    """Many moments, without a kernel: what it would recover is predicted."""
    record = kept_record()
    floor = 0
    for moment in choose(record.entries, begin(record.entries), MOMENTS, random.Random(3)):
        recovery = as_predicted(record, moment)
        assert failed(record, recovery) == set()
        floor = max(floor, int((floors(record, moment.position) > 0).sum()))
    assert floor > 1000


def with_stamps(recovery: Recovery, change: Callable[[Stamps], None]) -> Recovery:
    stamps = recovery.stamps.copy()
    change(stamps)
    return replace(recovery, stamps=stamps)


def acknowledged(record: CrashRecord) -> int:
    """Return a sector that was acknowledged by the last recovery."""
    return int(np.nonzero(floors(record, record.recoveries[LAST].moment.position))[0][0])


def test_a_sector_that_was_lost() -> None:
    record = kept_record()
    sector = acknowledged(record)
    lost = with_stamps(record.recoveries[LAST], lambda stamps: stamps.__setitem__(sector, 0))
    assert failed(record, lost) == {"acknowledged", "content"}
    torn = with_stamps(record.recoveries[LAST], lambda stamps: stamps.__setitem__(sector, WRONG))
    assert failed(record, torn) == {"acknowledged", "content"}


def test_a_sector_that_holds_another_write() -> None:
    record = kept_record()
    number = int(record.recoveries[LAST].stamps.max())
    misplaced = with_stamps(record.recoveries[LAST], lambda stamps: stamps.__setitem__(-1, number))
    assert failed(record, misplaced) == {"acknowledged", "content"}


def test_an_older_write_that_nobody_was_promised() -> None:
    """It may be there as far as promises go, but the cache holds a newer one."""
    record = kept_record()
    recovery = record.recoveries[LAST]
    floor = floors(record, recovery.moment.position)
    sector = int(np.nonzero((recovery.stamps > 0) & (floor == 0))[0][0])
    older = with_stamps(recovery, lambda stamps: stamps.__setitem__(sector, 0))
    assert failed(record, older) == {"content"}


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"lines": []}, "replay"),
        ({"lines": ["journal replay done, 317 keys in 55 entries, seq 154"]}, "replay"),
        ({"lines": ["journal replay done, 317 keys in 56 entries, seq 153"]}, "replay"),
        ({"state": "clean"}, "state"),
        ({"refused": "bcache refuses /dev/dm-1"}, "recovered"),
    ],
)
def test_what_the_kernel_says(changes: dict[str, object], check: str) -> None:
    record = kept_record()
    assert failed(record, replace(record.recoveries[LAST], **changes)) == {check}  # type: ignore[arg-type]


def left(recovery: Recovery, before: bytes | bytearray, after: bytes | bytearray) -> Recovery:
    """Return the recovery of a kernel that left something else on the disk."""
    windows, changed = changed_windows(before, after)
    return replace(recovery, windows=windows, changed=changed)


def test_a_node_that_it_left_damaged() -> None:
    record = kept_record()
    recovery = record.recoveries[LAST]
    disk = disk_at(record.entries, recovery.moment, record.disks)
    after = recovery.disk_after(disk)
    tree = checked_cache(after, record.disks).tree
    assert tree
    after[tree.nodes[-1].bucket * 4096 + 100] ^= 1
    assert "stopped" in failed(record, left(recovery, disk, after))


def test_a_dirty_sector_that_is_nowhere() -> None:
    """The kernel forgets what was written in the last 400 steps."""
    record = kept_record()
    recovery = as_predicted(record, record.recoveries[LAST].moment)
    disk = disk_at(record.entries, recovery.moment, record.disks)
    earlier = replace(recovery.moment, position=recovery.moment.position - 400)
    assert failed(record, recovery) == set()
    forgotten = left(recovery, disk, disk_at(record.entries, earlier, record.disks))
    assert {"dirty"} <= failed(record, forgotten)


def test_a_clean_sector_that_became_dirty_elsewhere() -> None:
    record = kept_record()
    recovery = as_predicted(record, record.recoveries[0].moment)
    disk = disk_at(record.entries, recovery.moment, record.disks)
    later = disk_at(record.entries, record.recoveries[LAST].moment, record.disks)
    assert {"dirty", "clean"} & failed(record, left(recovery, disk, later))


def is_fua(entry: Entry) -> bool:
    return bool(entry.flags & Flag.FUA)


def kernels() -> dict[str, Callable[[CrashRecord], list[Entry]]]:
    """Return kernels that do not keep what bcache promises, and what they would have logged.

    One that writes nodes without FUA is none of them: the flush before each journal entry makes up for it.
    """

    def dropped(is_dropped: Callable[[CrashRecord, Entry], bool]) -> Callable[[CrashRecord], list[Entry]]:
        return lambda record: without_barriers(
            record.entries, begin(record.entries), lambda entry: is_dropped(record, entry)
        )

    def is_journal(record: CrashRecord, entry: Entry) -> bool:
        return is_fua(entry) and record.disks.in_journal(entry)

    return {
        "flushes nothing": dropped(lambda _, entry: entry.is_flush),
        "writes its journal without FUA": dropped(is_journal),
        "knows neither": dropped(lambda _, __: True),
    }


@pytest.mark.parametrize("name", kernels())
def test_a_kernel_without_barriers_loses_something(name: str) -> None:
    record = kept_record()
    careless = with_entries(record, lambda _: kernels()[name](record))
    moments = wrong_moments(careless.entries)
    found: set[str] = set()
    for moment in moments:
        predicted = predict(disk_at(careless.entries, moment, careless.disks), careless.disks)
        if not predicted.checked.journal:
            found.add("sound")
            continue
        found |= failed(careless, as_predicted(careless, moment))
    assert found & {"acknowledged", "sound"}


def wrong_moments(entries: Sequence[Entry]) -> list[Moment]:
    return choose(entries, begin(entries), 6, random.Random(4))
