# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of released kernels that are understood, and how a record proves that a line of the log is of one.

A known issue is not a pattern to look away from: the line counts as a fault unless the kernel is one that has
the issue and the record shows how it came about. See docs/known-issues.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.bundle import Bundle, Table
from harness.capture.records import Kind
from reference.extent_state import U64_MAX, Behaviour, UnknownBehaviourError

__all__ = ["KNOWN_ISSUE", "KNOWN_ISSUES", "KnownIssue", "known_issue"]

KNOWN_ISSUE = "known issue"
"""What a verdict counts under this name is a fault of the kernel that is understood."""

Facts = Mapping[str, Any]
"""What a bundle says of its capture."""


@dataclass(frozen=True)
class KnownIssue:
    """A fault of some kernels."""

    name: str
    line: re.Pattern[str]
    """What the kernel logs; group 1 is the task's PID."""
    has: Callable[[Facts], bool]
    """Whether a kernel has the issue, by what its bundle says of it."""
    shown: Callable[[Table, Facts, int], bool]
    """Whether the record shows that it happened to the task of this PID."""


def known_issue(line: str, bundle: Bundle) -> str | None:
    """Return the name of the known issue that `line` of the bundle's kernel log is of, if it is proven."""
    capture = bundle.manifest["capture"]
    if capture["lost"] or not bundle.has("events.npz"):
        return None
    matches = ((issue, issue.line.search(line)) for issue in KNOWN_ISSUES if issue.has(capture))
    events = bundle.table("events.npz")
    shown = (i.name for i, match in matches if match and i.shown(events, capture, int(match[1])))
    return next(shown, None)


def _before_5_11(capture: Facts) -> bool:
    """Whether the kernel is older than btrfs_update_inode_bytes() (5.11), as its bits tell."""
    try:
        old = Behaviour.of(capture.get("features", ())) == Behaviour.linux_5_10
    except UnknownBehaviourError:
        return False
    return old and "EXTENT_ADD_INODE_BYTES" not in capture["bits"]


def _truncate_overtook(events: Table, capture: Facts, pid: int) -> bool:
    """Whether a truncate had the range of an ordered extent between its direct write and `pid` finishing it.

    The write locked exactly the range that `pid` locks later; in between another task locked from the start
    of the range, or before it, to the end of all files.
    """
    locked = capture["bits"]["EXTENT_LOCKED"]
    inodes = capture["owners"]["IO_TREE_INODE_IO"]
    lock = (events["kind"] == Kind.SET) & (events["bits"] & locked != 0) & (events["owner"] == inodes)
    rows = np.flatnonzero(lock)
    start, pids, trees = (events[name][rows].tolist() for name in ("start", "pid", "ptr"))
    last = (events["start"][rows] + events["len"][rows] - np.uint64(1)).tolist()
    return any(pids[row] == pid and _overtaken(row, start, last, pids, trees) for row in range(len(rows)))


def _overtaken(finish: int, start: list[int], last: list[int], pids: list[int], trees: list[int]) -> bool:
    truncating = None
    for row in range(finish - 1, -1, -1):
        meets = trees[row] == trees[finish] and start[row] <= last[finish] and last[row] >= start[finish]
        if not meets:
            continue
        if last[row] == U64_MAX and truncating in (None, pids[row]):
            truncating = pids[row]
            continue
        same = (start[row], last[row]) == (start[finish], last[finish])
        return same and truncating is not None and pids[row] not in (truncating, pids[finish])
    return False


KNOWN_ISSUES = (
    # 5.10 alone: btrfs_direct_IO() drops the inode's lock, and only iomap_dio_rw() calls inode_dio_begin().
    # A truncate in between does not wait for the write, and btrfs_truncate_inode_items() drops the pinned
    # extent map under its ordered extent. Ended by e9adabb9712e "btrfs: use shared lock for direct writes
    # within EOF" (5.11), which keeps the lock. Seen on Debian's 5.10.262.
    KnownIssue(
        "a truncate overtakes a direct write",
        re.compile(r"WARNING: CPU: \d+ PID: (\d+) at fs/btrfs/extent_map\.c:\d+ unpin_extent_cache\+"),
        _before_5_11,
        _truncate_overtook,
    ),
)
"""Every known issue."""
