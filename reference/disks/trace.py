# SPDX-License-Identifier: GPL-2.0-or-later
"""What to draw of what a disk did. All of it is simulated."""

from __future__ import annotations

from collections.abc import Sequence

from reference.disks.disk import Served

__all__ = ["busy_ns", "head_positions", "in_flight"]


def head_positions(trace: Sequence[Served]) -> list[tuple[int, int]]:
    """Return when the disk was where, as corners of a line: time in ns, byte."""
    corners: list[tuple[int, int]] = []
    for served in trace:
        corners.append((served.started_ns, corners[-1][1] if corners else served.byte))
        corners.append((served.ended_ns, served.byte + served.nbytes))
    return corners


def in_flight(trace: Sequence[Served]) -> list[tuple[int, int]]:
    """Return from when on how many requests were under way, in the host or in the disk.

    >>> from reference.disks.mechanism import Way
    >>> in_flight([Served(0, 0, 0, 1, 0, 0, 20, Way.MEDIA), Served(1, 0, 9, 1, 5, 20, 30, Way.MEDIA)])
    [(0, 1), (5, 2), (20, 1), (30, 0)]
    """
    changes: dict[int, int] = {}
    for served in trace:
        changes[served.submitted_ns] = changes.get(served.submitted_ns, 0) + 1
        changes[served.ended_ns] = changes.get(served.ended_ns, 0) - 1
    steps, count = [], 0
    for time_ns in sorted(changes):
        count += changes[time_ns]
        steps.append((time_ns, count))
    return steps


def busy_ns(trace: Sequence[Served]) -> int:
    """Return for how long something was being served.

    >>> from reference.disks.mechanism import Way
    >>> busy_ns([Served(0, 0, 0, 1, 0, 0, 20, Way.MEDIA), Served(1, 0, 9, 1, 5, 25, 30, Way.MEDIA)])
    25
    """
    total = until = 0
    for served in sorted(trace, key=lambda served: served.started_ns):
        total += max(0, served.ended_ns - max(until, served.started_ns))
        until = max(until, served.ended_ns)
    return total
