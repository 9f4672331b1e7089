# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbered invariants of a rotational disk in virtual time, between two calls.

1. The disk has no more requests than its queue is deep.
2. Requests wait in the host only while the disk is full.
3. A disk that has requests serves one.
4. Queues are in their order: of place, or of coming.
5. Each request that came is in one place: in the host, in the disk, being served, or done.
6. No more segments are kept than the disk has, and each is on the disk.
7. Reading on goes on behind the newest segment, up to a limit that is on the disk.

And of its trace:

8. A request is submitted, then served, then done.
9. One is served at a time.
10. The disk does not rest while a request waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from reference.disks.disk import Served
from reference.disks.mechanism import Mechanism
from reference.disks.queues import Policy
from reference.disks.rotational import RotationalDisk
from reference.rbtree import InvariantError

__all__ = ["InvariantError", "validate", "validate_trace"]


def validate(disk: RotationalDisk) -> None:
    """Raise InvariantError if the disk or its trace breaks an invariant."""
    inside = len(disk.in_drive) + (disk.active is not None)
    if inside > disk.queue_depth:
        raise InvariantError(1, f"{inside} requests in a disk that takes {disk.queue_depth}")
    if disk.in_host.waiting and inside < disk.queue_depth:
        raise InvariantError(2, f"{disk.in_host.waiting[0]} waits, and the disk has but {inside}")
    if disk.in_drive and disk.active is None:
        raise InvariantError(3, f"nothing is served, and the disk has {disk.in_drive[0]}")
    _check_order(disk)
    _check_all_there(disk)
    _check_memory(disk.mechanism)
    validate_trace(disk.trace)


def validate_trace(trace: Sequence[Served]) -> None:
    """Raise InvariantError if the trace is not that of one spindle."""
    for served in trace:
        if not served.submitted_ns <= served.started_ns < served.ended_ns:
            raise InvariantError(8, f"{served} is out of order")
    for one, other in pairwise(trace):
        if other.started_ns < one.ended_ns:
            raise InvariantError(9, f"{other} began before {one} was done")
    first_submitted = None
    for one, other in reversed(list(pairwise(trace))):
        first_submitted = min(other.submitted_ns, first_submitted or other.submitted_ns)
        rested = other.started_ns > one.ended_ns
        if rested and first_submitted < other.started_ns:
            raise InvariantError(10, f"nothing was served before {other}, though something waited")


def _check_order(disk: RotationalDisk) -> None:
    waiting = disk.in_host.waiting
    in_order = (
        sorted(waiting, key=lambda request: request.number) if disk.host is Policy.FIFO else sorted(waiting)
    )
    if waiting != in_order or disk.in_drive != sorted(disk.in_drive):
        raise InvariantError(4, f"a queue is out of order: {waiting}, {disk.in_drive}")


def _check_all_there(disk: RotationalDisk) -> None:
    numbers = [request.number for request in (*disk.in_host.waiting, *disk.in_drive)]
    numbers += [served.number for served in disk.trace]
    if disk.active is not None:
        numbers.append(disk.active[0].number)
    if sorted(numbers) != list(range(disk.submitted)):
        raise InvariantError(5, f"of {disk.submitted} requests there are {sorted(numbers)}")


def _check_memory(mechanism: Mechanism) -> None:
    capacity = mechanism.geometry.capacity
    if len(mechanism.kept) > mechanism.segments:
        raise InvariantError(6, f"{len(mechanism.kept)} segments of {mechanism.segments}")
    for start, end in mechanism.kept:
        if not 0 <= start <= capacity or not 0 < end <= capacity:
            raise InvariantError(6, f"a segment from {start} to {end} on a disk of {capacity}")
    if mechanism.reads_on_since_ns is None:
        return
    if not mechanism.kept or not mechanism.kept[-1][1] <= mechanism.limit <= capacity:
        raise InvariantError(7, f"reads on up to {mechanism.limit} behind {mechanism.kept[-1:]}")
