# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of `btrfs_file_read_iter` by whomever, several at a time, taken out of the events.

What a task does from one call of its own to the next belongs to the first of them. So it is known of each
bio, direct part and page which call it is of, however many tasks read at a time. What ends later bears the
address of its `struct kiocb`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.bundle import Table
from harness.direct_io.events import Kind
from harness.direct_io.record import Layout
from harness.direct_io.seen import PAGE, Seen, seen_by_number

__all__ = ["Call", "Recorded", "recorded_calls"]

IOCB_NOWAIT = 1 << 3
"""RWF_NOWAIT, which is part of the kernel's interface."""
_CALLS = (Kind.CALL, Kind.QUEUED_CALL)


@dataclass
class Call:
    """A call, and what was seen of it. Bytes."""

    file: int
    """Which of the layout's files."""
    offset: int
    length: int
    nowait: bool
    """Whether it must not wait (IOCB_NOWAIT)."""
    queued: bool
    """Whether its caller is told later what came of it (`ki_complete`)."""
    tid: int
    """Thread that called."""
    iocb: int
    """Address of the `struct kiocb`."""
    phase: int
    """Part of the case: nothing of one is under way any more when the next begins."""
    begin: int
    """Which event it is."""
    end: int
    """The first event at which it has certainly returned."""
    seen: Seen
    results: list[int] = field(default_factory=list)
    """What its direct parts returned, in the order in which they ended: bytes, or -errno."""
    under_way: int = 0
    """The first event at which it is certainly no more under way; at least `end`."""

    @property
    def last(self) -> int:
        """Where in the file it ends, bytes: the same for a call and for one that goes on with it."""
        return self.offset + self.length

    @property
    def all_ended(self) -> bool:
        """Whether it is known of each direct part what it returned."""
        return bool(self.results) and len(self.results) == len(self.seen.direct)

    def ended_by(self, event: int) -> None:
        """Note that it is over at an event."""
        self.end = min(self.end, event)
        self.under_way = min(self.under_way, event)

    def together_with(self, other: Call) -> bool:
        """Whether the two may have been in the function at one time."""
        return self.begin < other.end and other.begin < self.end

    def meets(self, other: Call) -> bool:
        """Whether the two may have been under way at one time, and want some block both."""
        apart = self.last <= other.offset or other.last <= self.offset
        return not apart and self.begin < other.under_way and other.begin < self.under_way


@dataclass(frozen=True)
class Recorded:
    """All that is known of calls."""

    calls: Sequence[Call]
    """In the order in which they began."""
    added: Sequence[tuple[int, int, int]]
    """Pages that got into the page cache: which event, file, index."""
    removed: Sequence[tuple[int, int, int]]
    """Pages that were taken out of it."""


def recorded_calls(layout: Layout, events: Table) -> Recorded:
    """Return the calls of files of the layout.

    Inodes are told apart by their numbers, so a file and its like in a snapshot must not both be there.
    """
    files = {inode: number for number, inode in enumerate(layout.inodes)}
    rows = _Rows(events)
    begun = [row for row in np.flatnonzero(np.isin(rows.kind, _CALLS)).tolist() if rows.ino[row] in files]
    numbers = [int(rows.number[row]) for row in begun]
    seen = seen_by_number(layout, dict(zip(numbers, rows.pid[begun].tolist(), strict=True)), events)
    ends = _ends(rows, begun)
    calls = [_call(rows, row, files, end, seen[n]) for row, end, n in zip(begun, ends, numbers, strict=True)]
    _take_results(rows, calls)
    return Recorded(calls, _pages(rows, Kind.PAGE, files), _pages(rows, Kind.PAGE_REMOVED, files))


class _Rows:
    """The columns of the events."""

    def __init__(self, events: Table) -> None:
        self.kind, self.number, self.ino = events["kind"], events["number"], events["ino"]
        self.start, self.length, self.flags = events["start"], events["length"], events["flags"]
        self.pid, self.iocb = events["pid"], events["iocb"]
        self.phase = np.maximum.accumulate(self.number >> np.uint64(32))
        """Events of what is over come late only if they are of nobody's call."""

    @property
    def count(self) -> int:
        return len(self.kind)

    def phase_end(self, row: int) -> int:
        """Return the first event of another phase."""
        return int(np.searchsorted(self.phase, self.phase[row], side="right"))


def _ends(rows: _Rows, begun: Sequence[int]) -> list[int]:
    """Return for each call when the same task has called again, or another phase has begun."""
    ends = []
    following: dict[int, int] = {}
    for row in reversed(begun):
        ends.append(min(following.get(int(rows.pid[row]), rows.count), rows.phase_end(row)))
        following[int(rows.pid[row])] = row
    return ends[::-1]


def _call(rows: _Rows, row: int, files: Mapping[int, int], end: int, seen: Seen) -> Call:
    return Call(
        file=files[int(rows.ino[row])],
        offset=int(rows.start[row]),
        length=int(rows.length[row]),
        nowait=bool(int(rows.flags[row]) & IOCB_NOWAIT),
        queued=int(rows.kind[row]) == Kind.QUEUED_CALL,
        tid=int(rows.pid[row]),
        iocb=int(rows.iocb[row]),
        phase=int(rows.phase[row]),
        begin=row,
        end=end,
        seen=seen,
        under_way=rows.phase_end(row) if rows.kind[row] == Kind.QUEUED_CALL else end,
    )


def _take_results(rows: _Rows, calls: Sequence[Call]) -> None:
    """Give to each call what its direct parts returned."""
    by_iocb: defaultdict[int, list[Call]] = defaultdict(list)
    for call in calls:
        by_iocb[call.iocb].append(call)
    ended = np.flatnonzero(rows.kind == Kind.DONE)
    for row, iocb, returned in zip(
        ended.tolist(), rows.iocb[ended].tolist(), rows.length[ended].astype(np.int64).tolist(), strict=True
    ):
        of_iocb = by_iocb.get(iocb, [])
        place = bisect_left(of_iocb, row, key=lambda call: call.begin) - 1
        if place >= 0:
            call = of_iocb[place]
            call.results.append(returned)
            if call.all_ended:
                call.under_way = max(call.end, row + 1)


def _pages(rows: _Rows, kind: Kind, files: dict[int, int]) -> list[tuple[int, int, int]]:
    found = [row for row in np.flatnonzero(rows.kind == kind).tolist() if rows.ino[row] in files]
    return [
        (row, files[int(rows.ino[row])], int(rows.start[row]) + inside)
        for row in found
        for inside in range(int(rows.length[row]) // PAGE)
    ]
