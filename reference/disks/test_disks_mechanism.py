# SPDX-License-Identifier: GPL-2.0-or-later
"""A simulated disk's arm and memory against naive ones that know of each byte when it was read."""

from __future__ import annotations

import doctest
import importlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reference.disks import SATA_7200_2011, Mechanism, Way
from reference.disks.naive import NaiveMechanism
from reference.disks.testing import TOY
from reference.disks.timing import mechanical_end_ns, track_of

READS = st.lists(
    st.tuples(
        st.one_of(st.just(0), st.integers(0, 3000)),
        # Half of them near to the one before.
        st.one_of(st.integers(0, TOY.capacity - 1), st.integers(-15, 0)),
        st.integers(1, 14),
    ),
    max_size=25,
)


@pytest.mark.parametrize("module", ["mechanism", "rotational", "ssd", "trace"])
def test_examples(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"reference.disks.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


@given(reads=READS, segments=st.integers(0, 3), read_ahead=st.sampled_from((0, 5, 12)))
@settings(max_examples=600, deadline=None, database=None)
# In order, faster than the disk, and so slowly that it stops and begins again.
@example(reads=[(0, 0, 4)] + [(0, -4, 4)] * 12, segments=1, read_ahead=12)
@example(reads=[(0, 0, 4), (3000, -4, 4), (3000, -4, 4), (0, -4, 4), (0, -4, 4)], segments=1, read_ahead=12)
def test_what_a_read_takes_is_what_the_naive_disk_says(
    reads: list[tuple[int, int, int]], segments: int, read_ahead: int
) -> None:
    g = TOY._replace(read_ahead=read_ahead)
    disk, naive = Mechanism(g, segments), NaiveMechanism(g, segments)
    now = behind = 0
    for pause, place, wanted in reads:
        byte = place if place >= 0 else min(max(behind + place + 4, 0), g.capacity - 1)
        nbytes = min(wanted, g.capacity - byte)
        access = disk.read(now + pause, byte, nbytes)
        assert access == naive.read(now + pause, byte, nbytes)
        now, behind = access.end_ns, byte + nbytes


def test_asking_changes_nothing() -> None:
    disk = Mechanism(TOY, segments=2)
    disk.read(0, 20, 4)
    before = dict(vars(disk), kept=list(disk.kept))
    first = [disk.access(2000, byte, 2) for byte in range(TOY.capacity - 1)]
    assert vars(disk) == before
    assert first == [disk.access(2000, byte, 2) for byte in range(TOY.capacity - 1)]
    assert {access.way for access in first} == {Way.MEMORY, Way.STREAM, Way.MEDIA}


def test_a_disk_read_in_order_waits_for_no_revolution() -> None:
    g, block, count = SATA_7200_2011.geometry(), 16384, 2000
    disk, now = Mechanism(g, SATA_7200_2011.segments), 0
    for number in range(count):
        now = disk.read(now, number * block, block).end_ns
    # Each costs a command and the bus; the media are faster, and only the first has to be found.
    assert now - count * (g.overhead_ns + block * 10 // 3) < g.revolution_ns + 3 * g.overhead_ns
    # Without reading on it is a revolution each time, less what passes under the head.
    disk, now = Mechanism(g._replace(read_ahead=0), SATA_7200_2011.segments), 0
    for number in range(count):
        now = disk.read(now, number * block, block).end_ns
    assert now > 0.98 * count * g.revolution_ns


def test_memory_is_that_of_the_last_segments() -> None:
    disk, places = Mechanism(TOY._replace(read_ahead=0), segments=2), [0, 30, 60]
    now = 0
    for byte in places:
        now = disk.read(now, byte, 2).end_ns
    assert [disk.access(now, byte, 2).way for byte in places] == [Way.MEDIA, Way.MEMORY, Way.MEMORY]


def test_what_was_written_is_not_in_memory() -> None:
    disk = Mechanism(TOY, segments=2)
    now = disk.read(0, 10, 4).end_ns
    now = disk.read(now, 60, 4).end_ns
    assert disk.access(now, 10, 4).way is Way.MEMORY
    track = disk.arm_track(now + TOY.overhead_ns)
    write = disk.write(now, 12, 1)
    assert write.end_ns == mechanical_end_ns(TOY, now + TOY.overhead_ns, track, 12, 1)
    assert disk.access(write.end_ns, 10, 4).way is Way.MEDIA
    assert disk.access(write.end_ns, 60, 4).way is Way.MEMORY
    assert disk.arm_track(write.end_ns + 5000) == track_of(TOY, 12)
