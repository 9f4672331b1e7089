# SPDX-License-Identifier: GPL-2.0-or-later
"""How long trees took to be read, in bundles of cases that read them in several ways by turns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from harness.bundle import Bundle
from harness.errors import UserError
from harness.readahead.reads import RUNS_FILE, load_runs
from harness.readahead.record import EVENTS_FILE, Event, Kind, events_of

__all__ = ["READAHEAD", "WALK", "times"]

WALK, READAHEAD = "walk", "readahead"
"""The methods of a kernel that has reada.c; those of the reference engine say which behaviour it has."""


def times(bundle: Bundle) -> dict[str, list[float]]:
    """Return the seconds that each method took, round by round.

    Of a guest with reada.c these are by its kernel's clock, and there have to be as many of each: from before
    `btrfs_reada_add` to after `btrfs_reada_wait`, and the walk from begin to end. On the host they are those
    of the runs. UserError if the bundle has no reads by turns.
    """
    if bundle.has(RUNS_FILE):
        pairs: Iterable[tuple[str, float]] = ((run.method, run.seconds) for run in load_runs(bundle))
    elif bundle.has(EVENTS_FILE):
        pairs = _spans(events_of(bundle))
    else:
        raise UserError(f"{bundle.path}: no record of reads: give one of a case of the suite readahead")
    found: dict[str, list[float]] = defaultdict(list)
    for method, seconds in pairs:
        found[method].append(seconds)
    if len({len(rounds) for rounds in found.values()}) != 1 or len(found) < 2:
        told = ", ".join(f"{len(rounds)} by {method}" for method, rounds in found.items()) or "no reads"
        raise UserError(f"{bundle.path}: {told}: give a case in which methods take turns")
    return dict(found)


def _spans(events: Iterable[Event]) -> Iterator[tuple[str, float]]:
    """Yield the walks and the readaheads that were waited for, as they end.

    The address of a control tells of which readahead a wait is; it is used again after the wait.
    """
    walks: dict[int, int] = {}
    adds: dict[int, int] = {}
    begun: dict[int, int] = {}
    for event in events:
        match event.kind:
            case Kind.WALK:
                walks[event.pid] = event.time_ns
            case Kind.WALK_END:
                yield WALK, (event.time_ns - walks.pop(event.pid)) / 1e9
            case Kind.ADD:
                adds[event.pid] = event.time_ns
            case Kind.ADD_RETURN if event.rc:
                begun[event.rc] = adds.pop(event.pid)
            case Kind.WAIT_RETURN:
                yield READAHEAD, (event.time_ns - begun.pop(event.rc)) / 1e9
