# SPDX-License-Identifier: GPL-2.0-or-later
"""A simulated SSD: its data sheet, and a naive one that is looked at nanosecond by nanosecond."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.disks import SATA_SSD_2011, SolidStateDisk
from reference.disks.trace import in_flight

SMALL = replace(
    SATA_SSD_2011, capacity=1000, flash_ns=50, channels=3, command_ns=8, bus_bytes_per_s=1_000_000_000
)


def rate(nbytes: int, count: int, queue_depth: int) -> float:
    """Requests a second, all there from the start."""
    disk = SolidStateDisk(SATA_SSD_2011, queue_depth)
    for number in range(count):
        disk.submit(0, number * nbytes, nbytes, tag=number)
    for _ in range(count):
        disk.complete()
    return count * 1e9 / disk.trace[-1].ended_ns


def test_the_data_sheet() -> None:
    # 75 us a read, 39,500 reads of 4 KiB a second, 270 MB/s.
    assert 1e9 / rate(4096, 1, 1) == pytest.approx(75_000, rel=0.001)
    assert rate(4096, 10_000, 31) == pytest.approx(39_500, rel=0.001)
    assert rate(128 << 10, 10_000, 31) * (128 << 10) == pytest.approx(270e6, rel=0.001)
    # One at a time, none waits for another.
    assert rate(4096, 1000, 1) == pytest.approx(1e9 / 75_016, rel=0.001)


def naive(requests: list[tuple[int, int]], depth: int) -> list[int]:
    """Return when each request, of (time, bytes), is done; nanosecond by nanosecond."""
    left_in_flash: dict[int, int] = {}
    waiting: list[int] = []
    out_of_flash: list[int] = []
    on_the_bus: tuple[int, int] | None = None
    ends: dict[int, int] = {}
    now = 0
    while len(ends) < len(requests):
        if on_the_bus and on_the_bus[1] == 0:
            ends[on_the_bus[0]] = now
            on_the_bus = None
        for number in [number for number, left in left_in_flash.items() if left == 0]:
            del left_in_flash[number]
            out_of_flash.append(number)
        if out_of_flash and not on_the_bus:
            number = out_of_flash.pop(0)
            on_the_bus = (number, max(8, requests[number][1]))
        waiting += [number for number, (at_ns, _) in enumerate(requests) if at_ns == now]
        while waiting and len(left_in_flash) < 3:
            inside = len(left_in_flash) + len(out_of_flash) + (on_the_bus is not None)
            if inside == depth:
                break
            left_in_flash[waiting.pop(0)] = 50
        left_in_flash = {number: left - 1 for number, left in left_in_flash.items()}
        if on_the_bus:
            on_the_bus = (on_the_bus[0], on_the_bus[1] - 1)
        now += 1
    return [ends[number] for number in range(len(requests))]


@given(
    gaps=st.lists(st.tuples(st.one_of(st.just(0), st.integers(0, 80)), st.integers(1, 90)), max_size=15),
    depth=st.integers(1, 6),
)
@settings(max_examples=200, deadline=None, database=None)
def test_requests_are_served_as_by_the_naive_ssd(gaps: list[tuple[int, int]], depth: int) -> None:
    disk, now, requests = SolidStateDisk(SMALL, depth), 0, []
    for gap, nbytes in gaps:
        now += gap
        requests.append((now, nbytes))
        disk.submit(now, 0, nbytes, tag=0)
    while disk.due() is not None:
        disk.complete()
    assert [served.ended_ns for served in disk.trace] == naive(requests, depth)
    assert [served.number for served in disk.trace] == list(range(len(gaps)))


def test_no_more_are_inside_than_the_queue_is_deep() -> None:
    disk = SolidStateDisk(SATA_SSD_2011, 4)
    for number in range(100):
        disk.submit(0, number * 4096, 4096, tag=number)
    while disk.due() is not None:
        disk.complete()
    inside = [served._replace(submitted_ns=served.started_ns) for served in disk.trace]
    assert max(count for _, count in in_flight(inside)) == 4


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="are not on SATA SSD of 2011"):
        SolidStateDisk(SATA_SSD_2011).submit(0, SATA_SSD_2011.capacity, 1, tag=0)
    with pytest.raises(ValueError, match="one request at a time at least, not 0"):
        SolidStateDisk(SATA_SSD_2011, 0)
