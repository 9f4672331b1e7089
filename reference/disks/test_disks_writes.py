# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes go to the media: there is no write cache, and what memory has of the old bytes is dropped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reference.disks import Mechanism, Policy, RotationalDisk, Way
from reference.disks.invariants import validate
from reference.disks.testing import TOY, Toy
from reference.disks.timing import mechanical_end_ns, track_of


def test_a_write_takes_what_the_media_take_though_memory_has_the_bytes() -> None:
    mechanism = Mechanism(TOY, segments=2)
    read = mechanism.read(0, 50, 4)
    later = read.end_ns + 10_000
    assert mechanism.access(later, 50, 4).way is Way.MEMORY
    arm = mechanism.arm_track(later + TOY.overhead_ns)
    expected = mechanical_end_ns(TOY, later + TOY.overhead_ns, arm, 50, 4)
    assert mechanism.write(later, 50, 4) == (expected, Way.MEDIA)
    assert mechanism.arm_track(expected) == track_of(TOY, 53)


def test_what_was_written_is_read_from_the_media_again() -> None:
    mechanism = Mechanism(TOY, segments=2)
    end = mechanism.read(0, 50, 4).end_ns
    end = mechanism.read(end, 10, 2).end_ns
    assert mechanism.access(end, 50, 4).way is Way.MEMORY
    end = mechanism.write(end, 52, 1).end_ns
    assert mechanism.access(end, 50, 4).way is Way.MEDIA
    assert mechanism.access(end, 10, 2).way is Way.MEMORY


def test_in_the_choice_of_the_next_a_write_counts_with_the_time_of_the_media() -> None:
    disk = RotationalDisk(Toy(), Policy.FIFO, Policy.SHORTEST)
    disk.submit(0, 50, 4, tag=1)
    now = disk.complete().ended_ns
    disk.submit(now, 90, 1, tag=2)
    disk.submit(now, 50, 4, tag=3, write=True)
    disk.submit(now, 50, 4, tag=4)
    assert [disk.complete().tag for _ in range(3)] == [2, 4, 3]


requests = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, 87), st.integers(1, 4), st.booleans()), max_size=30
)


@given(requests, st.sampled_from(Policy), st.integers(1, 4))
def test_with_writes_the_invariants_hold(
    asked: list[tuple[int, int, int, bool]], drive: Policy, depth: int
) -> None:
    disk = RotationalDisk(Toy(queue_depth=depth), Policy.FIFO, drive)
    now = 0
    for pause, byte, nbytes, write in asked:
        now += pause
        while (due := disk.due()) is not None and due <= now:
            disk.complete()
            validate(disk)
        disk.submit(now, byte, nbytes, tag=0, write=write)
        validate(disk)
    while disk.due() is not None:
        disk.complete()
        validate(disk)
    assert len(disk.trace) == len(asked)
