# SPDX-License-Identifier: GPL-2.0-or-later
"""Each invariant of simulated disks has a disk that was broken on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reference.disks import Policy, RotationalDisk
from reference.disks.invariants import InvariantError, validate
from reference.disks.testing import Toy


def busy() -> RotationalDisk:
    """A disk that has done two, serves one, has two more, and two in the host."""
    disk = RotationalDisk(Toy(segments=2, queue_depth=3), Policy.C_LOOK, Policy.SHORTEST)
    for byte in (50, 20, 90, 10, 40, 70, 30):
        disk.submit(0, byte, 2, tag=byte)
    disk.complete()
    disk.complete()
    validate(disk)
    assert (len(disk.trace), len(disk.in_drive), len(disk.in_host.waiting)) == (2, 2, 2)
    return disk


def too_many(disk: RotationalDisk) -> None:
    disk.in_drive.append(disk.in_host.waiting.pop())
    disk.in_drive.sort()


def left_in_the_host(disk: RotationalDisk) -> None:
    disk.in_host.waiting.append(disk.in_drive.pop())
    disk.in_host.waiting.sort()


def idle(disk: RotationalDisk) -> None:
    assert disk.active is not None
    disk.in_drive.append(disk.active[0])
    disk.in_drive.sort()
    disk.active = None


def host_out_of_order(disk: RotationalDisk) -> None:
    disk.in_host.waiting.reverse()


def drive_out_of_order(disk: RotationalDisk) -> None:
    disk.in_drive.reverse()


def lost(disk: RotationalDisk) -> None:
    disk.trace.pop()


def twice(disk: RotationalDisk) -> None:
    disk.in_host.waiting[0] = disk.in_host.waiting[1]


def too_many_segments(disk: RotationalDisk) -> None:
    disk.mechanism.kept.insert(0, (0, 1))


def segment_off_the_disk(disk: RotationalDisk) -> None:
    disk.mechanism.kept[0] = (0, disk.constants.capacity + 1)


def reads_on_behind_nothing(disk: RotationalDisk) -> None:
    disk.mechanism.kept.clear()


def reads_on_off_the_disk(disk: RotationalDisk) -> None:
    disk.mechanism.limit = disk.constants.capacity + 1


def reads_on_backwards(disk: RotationalDisk) -> None:
    disk.mechanism.limit = disk.mechanism.kept[-1][1] - 1


def served_before_it_came(disk: RotationalDisk) -> None:
    disk.trace[0] = disk.trace[0]._replace(submitted_ns=disk.trace[0].started_ns + 1)


def took_no_time(disk: RotationalDisk) -> None:
    disk.trace[0] = disk.trace[0]._replace(ended_ns=disk.trace[0].started_ns)


def two_at_a_time(disk: RotationalDisk) -> None:
    disk.trace[1] = disk.trace[1]._replace(started_ns=disk.trace[0].ended_ns - 1)


def rested(disk: RotationalDisk) -> None:
    disk.trace[1] = disk.trace[1]._replace(started_ns=disk.trace[0].ended_ns + 1)


@pytest.mark.parametrize(
    ("number", "broken"),
    [
        (1, too_many),
        (2, left_in_the_host),
        (3, idle),
        (4, host_out_of_order),
        (4, drive_out_of_order),
        (5, lost),
        (5, twice),
        (6, too_many_segments),
        (6, segment_off_the_disk),
        (7, reads_on_behind_nothing),
        (7, reads_on_off_the_disk),
        (7, reads_on_backwards),
        (8, served_before_it_came),
        (8, took_no_time),
        (9, two_at_a_time),
        (10, rested),
    ],
)
def test_a_broken_disk_is_noticed(number: int, broken: Callable[[RotationalDisk], None]) -> None:
    disk = busy()
    broken(disk)
    with pytest.raises(InvariantError) as caught:
        validate(disk)
    assert caught.value.number == number
