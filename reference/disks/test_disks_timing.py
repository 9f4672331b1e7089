# SPDX-License-Identifier: GPL-2.0-or-later
"""Simulated disks take as long as their data sheets say, and as a disk that is turned byte by byte."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.disks import CONSTELLATION_2010, SATA_7200_2011, RotationalConstants
from reference.disks.testing import TOY
from reference.disks.timing import (
    angle_ns,
    bus_ns,
    frontier,
    mechanical_end_ns,
    move_ns,
    reached_ns,
    rotation_ns,
    seek_ns,
    track_of,
    transfer_ns,
    zone_of,
)

MS = 1_000_000
BOTH = pytest.mark.parametrize("constants", [SATA_7200_2011, CONSTELLATION_2010], ids=lambda c: c.name[:10])


@BOTH
def test_seeks_take_what_the_data_sheet_says(constants: RotationalConstants) -> None:
    g, cylinders = constants.geometry(), constants.cylinders
    times = [seek_ns(g, distance) for distance in range(cylinders)]
    assert times[0] == 0
    assert times[1] == constants.seek_single_ns
    assert times[-1] == pytest.approx(constants.seek_full_ns, abs=1)
    assert all(one <= other for one, other in pairwise(times))
    # The makers' definition: the mean over all pairs of tracks, of which few are far apart.
    pairs = cylinders * (cylinders - 1) // 2
    average = sum((cylinders - distance) * time for distance, time in enumerate(times)) / pairs
    assert average == pytest.approx(constants.seek_average_ns, rel=1e-4)


@BOTH
def test_random_reads_take_overhead_seek_half_a_revolution_and_transfer(
    constants: RotationalConstants,
) -> None:
    g, chance = constants.geometry(), random.Random(5)
    now = waited = moved = 0
    track, count = 0, 20_000
    for _ in range(count):
        byte = chance.randrange(g.capacity // 4096) * 4096
        there = now + move_ns(g, track, track_of(g, byte))
        moved += there - now
        waited += rotation_ns(g, there, byte)
        # An interval that has nothing to do with revolutions.
        now = mechanical_end_ns(g, now, track, byte, 4096) + chance.randrange(10 * MS)
        track = track_of(g, byte)
    assert waited / count == pytest.approx(60_000 * MS / 7200 / 2, rel=0.01)
    # Outer tracks hold more, so bytes taken at random are a little nearer to one another than tracks.
    assert 0.95 * constants.seek_average_ns < moved / count < constants.seek_average_ns


def test_long_reads_are_as_fast_as_the_data_sheet_says() -> None:
    g, size = SATA_7200_2011.geometry(), 1 << 30
    assert size / transfer_ns(g, 0, size) * 1000 == pytest.approx(140, rel=0.001)
    inner = size / transfer_ns(g, g.capacity - size, size) * 1000
    assert inner == pytest.approx(140 * 75 / 142, rel=0.002)


def test_the_number_of_tracks_is_about_the_published_one() -> None:
    # Not a constant of ours: it follows from capacity, heads and bytes per track.
    assert CONSTELLATION_2010.cylinders == pytest.approx(123_148, rel=0.001)
    inches = SATA_7200_2011.cylinders / 240_000
    assert 1.0 < inches < 1.2


@BOTH
def test_zones_cover_the_disk_and_get_smaller(constants: RotationalConstants) -> None:
    g = constants.geometry()
    assert len(g.zone_byte) == len(g.zone_track) == len(g.zone_track_bytes) == constants.zones
    assert g.zone_track_bytes[0] == constants.track_bytes_outer
    assert g.zone_track_bytes[-1] == constants.track_bytes_inner
    assert all(one > other for one, other in pairwise(g.zone_track_bytes))
    last_track = constants.cylinders * constants.heads
    assert last_track * 0.999 < track_of(g, g.capacity - 1) < last_track


def test_every_byte_of_the_toy_has_its_track_and_angle() -> None:
    byte = 0
    for track in range(12):
        zone = track // 4
        for offset in range(TOY.zone_track_bytes[zone]):
            assert (zone_of(TOY, byte), track_of(TOY, byte)) == (zone, track)
            angle = track * TOY.switch_ns + offset * TOY.revolution_ns // TOY.zone_track_bytes[zone]
            assert angle_ns(TOY, byte) == angle % TOY.revolution_ns
            byte += 1
    assert byte == TOY.capacity


def turned(at_ns: int, from_track: int, byte: int, nbytes: int) -> int:
    """Return when the toy has read, by turning it nanosecond by nanosecond."""
    track = track_of(TOY, byte)
    cylinders = abs(track // 2 - from_track // 2)
    if cylinders:
        at_ns += 300 + 50 * (cylinders - 1)
    elif track != from_track:
        at_ns += 300
    for number in range(byte, byte + nbytes):
        if track_of(TOY, number) != track:
            track += 1
            at_ns += TOY.switch_ns
        while at_ns % TOY.revolution_ns != angle_ns(TOY, number):
            at_ns += 1
        at_ns += TOY.revolution_ns // TOY.zone_track_bytes[zone_of(TOY, number)]
    return at_ns


@given(
    at_ns=st.integers(0, 5000),
    from_track=st.integers(0, 11),
    byte=st.integers(0, TOY.capacity - 1),
    data=st.data(),
)
@settings(max_examples=300, deadline=None, database=None)
def test_reading_takes_as_long_as_turning_the_disk(
    at_ns: int, from_track: int, byte: int, data: st.DataObject
) -> None:
    # Within a zone: all of a request is read as fast as the zone of its first byte allows.
    ends = (*TOY.zone_byte[1:], TOY.capacity)
    nbytes = data.draw(st.integers(1, ends[zone_of(TOY, byte)] - byte))
    assert mechanical_end_ns(TOY, at_ns, from_track, byte, nbytes) == turned(at_ns, from_track, byte, nbytes)


@given(
    since=st.integers(0, 3000), behind=st.integers(1, 70), more=st.integers(0, 40), at_ns=st.integers(0, 9000)
)
@settings(max_examples=300, deadline=None, database=None)
def test_the_frontier_is_what_has_been_reached(since: int, behind: int, more: int, at_ns: int) -> None:
    limit = min(behind + more, TOY.capacity)
    reached = [byte for byte in range(behind, limit + 1) if reached_ns(TOY, since, behind, byte) <= at_ns]
    assert frontier(TOY, since, behind, limit, at_ns) == max(reached, default=behind)
    # As fast as the media are when everything is read in one go, give or take a change of tracks.
    if limit > behind:
        taken = reached_ns(TOY, since, behind, limit) - since
        in_one_go = transfer_ns(TOY, behind, limit - behind)
        assert abs(taken - in_one_go) <= TOY.switch_ns


def test_the_bus_takes_its_time() -> None:
    assert bus_ns(SATA_7200_2011.geometry(), 300_000_000) == 1_000_000_000
