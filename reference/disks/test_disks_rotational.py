# SPDX-License-Identifier: GPL-2.0-or-later
"""A simulated rotational disk: orders, depths, one request at a time, and a naive disk for all of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.disks import SATA_7200_2011, Disk, Disks, Policy, RotationalDisk, Served
from reference.disks.invariants import validate
from reference.disks.naive import Arrival, NaiveMechanism, naive_disk
from reference.disks.testing import TOY, Toy
from reference.disks.trace import busy_ns, head_positions, in_flight

HOSTS = (Policy.FIFO, Policy.C_LOOK)
BLOCK = 16384
ARRIVALS = st.lists(
    st.tuples(st.integers(0, 600), st.integers(0, TOY.capacity - 3), st.integers(1, 3)), max_size=20
)


def run(disk: Disk, arrivals: Sequence[Arrival]) -> list[Served]:
    """Let requests come when they come; what is done at the same time is done first."""
    for number, (at_ns, byte, nbytes) in enumerate(arrivals):
        while (due := disk.due()) is not None and due <= at_ns:
            disk.complete()
        disk.submit(at_ns, byte, nbytes, number)
        if isinstance(disk, RotationalDisk):
            validate(disk)
    while disk.due() is not None:
        disk.complete()
        if isinstance(disk, RotationalDisk):
            validate(disk)
    return disk.trace


def at_once(count: int, seed: int = 1) -> list[Arrival]:
    chance = random.Random(seed)
    blocks = SATA_7200_2011.capacity // BLOCK
    return [Arrival(0, chance.randrange(blocks) * BLOCK, BLOCK) for _ in range(count)]


def seconds(arrivals: Sequence[Arrival], host: Policy, drive: Policy, depth: int) -> float:
    disk = RotationalDisk(SATA_7200_2011, host, drive, depth)
    for at_ns, byte, nbytes in arrivals:
        disk.submit(at_ns, byte, nbytes, 0)
    while disk.due() is not None:
        disk.complete()
    return disk.trace[-1].ended_ns / 1e9


@given(
    gaps=ARRIVALS,
    host=st.sampled_from(HOSTS),
    drive=st.sampled_from(Policy),
    depth=st.integers(1, 4),
    segments=st.integers(0, 2),
)
@settings(max_examples=500, deadline=None, database=None)
def test_requests_are_served_as_by_the_naive_disk(
    gaps: list[tuple[int, int, int]], host: Policy, drive: Policy, depth: int, segments: int
) -> None:
    now, arrivals = 0, []
    for gap, byte, nbytes in gaps:
        now += gap
        arrivals.append(Arrival(now, byte, nbytes))
    trace = run(RotationalDisk(Toy(segments), host, drive, depth), arrivals)
    expected = naive_disk(NaiveMechanism(TOY, segments), arrivals, host, drive, depth)
    assert [(served.number, served.started_ns, served.ended_ns) for served in trace] == expected
    assert [served.tag for served in trace] == [number for number, _, _ in expected]


@pytest.mark.parametrize(("host", "drive", "depth"), [("c-look", "fifo", 1), ("fifo", "c-look", 100)])
def test_c_look_goes_up_and_once_back(host: str, drive: str, depth: int) -> None:
    disk = RotationalDisk(SATA_7200_2011, Policy(host), Policy(drive), depth)
    # The first is served at once; 99 wait when it is done.
    trace = run(disk, at_once(100))
    places = [served.byte for served in trace]
    turns = [number for number, (one, other) in enumerate(pairwise(places), 1) if other < one]
    assert len(turns) == 1
    assert max(places[turns[0] :]) < places[0]


def test_fifo_is_the_order_of_coming() -> None:
    trace = run(RotationalDisk(SATA_7200_2011, Policy.FIFO, Policy.FIFO), at_once(60))
    assert [served.number for served in trace] == list(range(60))


@pytest.mark.parametrize("seed", range(5))
def test_command_queueing_is_worth_it(seed: int) -> None:
    arrivals = at_once(400, seed)
    fifo = seconds(arrivals, Policy.FIFO, Policy.FIFO, 1)
    by_depth = [seconds(arrivals, Policy.FIFO, Policy.SHORTEST, depth) for depth in (1, 2, 4, 8, 16, 31)]
    assert by_depth[0] == fifo
    assert all(deeper < shallower for shallower, deeper in pairwise(by_depth))
    assert by_depth[-1] < fifo / 2
    # A sweep by place alone saves seeks, knowing of rotation saves more.
    sweep = seconds(arrivals, Policy.FIFO, Policy.C_LOOK, 31)
    assert by_depth[-1] < sweep < fifo


@pytest.mark.parametrize("seed", range(5))
def test_no_waiting_request_would_have_been_done_sooner(seed: int) -> None:
    disk = RotationalDisk(SATA_7200_2011, Policy.FIFO, Policy.SHORTEST)
    for at_ns, byte, nbytes in at_once(200, seed):
        disk.submit(at_ns, byte, nbytes, 0)
    compared = 0
    while disk.active is not None:
        before = disk.mechanism
        now, waiting = disk.active[2].end_ns, [*disk.in_drive, *disk.in_host.waiting[:1]]
        ends = [before.access(now, request.byte, request.nbytes).end_ns for request in waiting]
        disk.complete()
        if disk.active is not None:
            assert disk.active[2].end_ns == min(ends)
            compared += len(ends) > 1
    assert compared > 150


@pytest.mark.parametrize("depth", [1, 2, 31])
def test_the_disk_has_no_more_than_its_queue_is_deep(depth: int) -> None:
    disk = RotationalDisk(SATA_7200_2011, queue_depth=depth)
    for at_ns, byte, nbytes in at_once(50):
        disk.submit(at_ns, byte, nbytes, 0)
    assert len(disk.in_drive) + 1 == depth
    assert len(disk.in_host.waiting) == 50 - depth


def test_random_reads_a_second_at_depth_1_and_31() -> None:
    # From the data sheet, in ms: overhead 0.2, seek 8.5, rotation 4.17, transfer 0.15. The seek is a bit
    # less, for outer tracks hold more.
    one = 1000 / seconds(at_once(1000), Policy.FIFO, Policy.FIFO, 1)
    assert 1000 / 13.02 < one < 1000 / 12.6
    assert 150 < 1000 / seconds(at_once(1000), Policy.FIFO, Policy.SHORTEST, 31) < 200


def test_the_same_requests_give_the_same_trace() -> None:
    chance = random.Random(4)
    arrivals = [Arrival(number * 3_000_000, chance.randrange(10**7) * BLOCK, BLOCK) for number in range(300)]
    assert run(RotationalDisk(SATA_7200_2011), arrivals) == run(RotationalDisk(SATA_7200_2011), arrivals)


@pytest.mark.parametrize(("byte", "nbytes"), [(-1, 1), (0, 0), (SATA_7200_2011.capacity - 1, 2)])
def test_what_is_not_on_the_disk_cannot_be_read(byte: int, nbytes: int) -> None:
    with pytest.raises(ValueError, match="are not on 7,200 rpm SATA disk"):
        RotationalDisk(SATA_7200_2011).submit(0, byte, nbytes, 0)


def test_a_disk_takes_a_request_at_least_and_the_host_knows_no_platters() -> None:
    with pytest.raises(ValueError, match="one request at a time at least, not 0"):
        RotationalDisk(SATA_7200_2011, queue_depth=0)
    with pytest.raises(ValueError, match="take fifo or c-look"):
        RotationalDisk(SATA_7200_2011, host=Policy.SHORTEST)


def test_of_several_disks_the_first_in_time_is_next_and_then_the_first_by_number() -> None:
    several: dict[int, Disk] = {devid: RotationalDisk(SATA_7200_2011) for devid in (3, 1, 2)}
    disks = Disks(several)
    assert disks.next() is None
    for devid in (3, 1):
        disks.submit(devid, 0, 10**12, BLOCK, tag=devid)
    disks.submit(2, 0, 0, BLOCK, tag=2)
    order = []
    while (due := disks.next()) is not None:
        order.append((due[1], disks.complete(due[1]).tag))
    assert order == [(2, 2), (1, 1), (3, 3)]


def test_what_is_drawn_is_what_was_served() -> None:
    trace = run(RotationalDisk(SATA_7200_2011), at_once(40))
    heads, flight = head_positions(trace), in_flight(trace)
    assert [byte for _, byte in heads[1::2]] == [served.byte + BLOCK for served in trace]
    assert [time for time, _ in heads] == sorted(time for time, _ in heads)
    assert flight[0] == (0, 40)
    assert flight[-1] == (trace[-1].ended_ns, 0)
    assert [count for _, count in flight] == list(range(40, -1, -1))
    # All came at once, so the disk never rested.
    assert busy_ns(trace) == trace[-1].ended_ns
