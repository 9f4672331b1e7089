# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that recovers just as predicted, and records with faults in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from harness.bcache.crash.damages import refusal
from harness.bcache.crash.moments import Moment, disk_at
from harness.bcache.crash.predict import predict
from harness.bcache.crash.record import CrashRecord, Recovery, load_record
from harness.bcache.crash.write_log import Entry, Flag
from harness.bcache.testing import FIXTURES

__all__ = ["as_predicted", "kept_record", "with_entries", "without_barriers"]


@cache
def kept_record() -> CrashRecord:
    """Return a record of Debian's 6.12."""
    return load_record(FIXTURES.parent / "bcache-crash" / "6.12-record")


def as_predicted(record: CrashRecord, moment: Moment) -> Recovery:
    """Return what a kernel shows that recovers as predicted, and then leaves the disk as it is."""
    predicted = predict(disk_at(record.entries, moment, record.disks), record.disks)
    if why := refusal(predicted):
        return Recovery(moment, [f"bcache: {why}"], why)
    keys, entries, seq = predicted.replay
    line = f"journal replay done, {keys} keys in {entries} entries, seq {seq}"
    return Recovery(moment, [line], None, "dirty" if predicted.said_dirty else "clean", predicted.stamps)


def with_entries(record: CrashRecord, change: Callable[[Sequence[Entry]], list[Entry]]) -> CrashRecord:
    """Return the record of a kernel that wrote something else."""
    return replace(record, entries=change(record.entries))


def without_barriers(
    entries: Sequence[Entry], begin: int, is_dropped: Callable[[Entry], bool]
) -> list[Entry]:
    """Return the log of a kernel that from `begin` on leaves some flushes and marks of FUA away.

    What it says then waits for the next flush that is left, as on any disk.
    """
    logged = list(entries[:begin])
    waiting: list[Entry] = []
    for entry in entries[begin:]:
        if entry.flags & (Flag.FLUSH | Flag.FUA) and is_dropped(entry):
            waiting += [replace(entry, flags=Flag(0))] if entry.sectors else []
        elif entry.waits_for_flush:
            waiting.append(entry)
        elif entry.is_flush:
            logged += [*waiting, entry]
            waiting = []
        else:
            logged.append(entry)
    return logged + waiting
