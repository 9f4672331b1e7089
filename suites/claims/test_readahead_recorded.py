# SPDX-License-Identifier: GPL-2.0-or-later
"""Times are those of the record, and records without turns are refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.bundle import Bundle, BundleWriter
from harness.errors import UserError
from harness.readahead.reads import Run, save_runs
from harness.readahead.record import Event, Kind, save_record, table_of
from suites.claims.measure import DATA
from suites.claims.readahead_recorded import READAHEAD, WALK, times

MS = 1_000_000


def of_events(folder: Path, events: Sequence[Event]) -> Bundle:
    writer = BundleWriter(folder / "bundle")
    save_record(writer, table_of(events), [])
    return writer.finish({})


def of_runs(folder: Path, runs: Sequence[tuple[str, int]]) -> Bundle:
    writer = BundleWriter(folder / "bundle")
    save_runs(writer, [Run(method, (), 32, wall_ns, (), ()) for method, wall_ns in runs])
    return writer.finish({})


def walk(begin_ms: int, end_ms: int) -> list[Event]:
    return [Event(begin_ms * MS, Kind.WALK, pid=7), Event(end_ms * MS, Kind.WALK_END, pid=7)]


def readahead(begin_ms: int, end_ms: int, rc: int = 0xF00) -> list[Event]:
    """Another thread waits than has begun it."""
    return [
        Event(begin_ms * MS, Kind.ADD, pid=7),
        Event((begin_ms + 1) * MS, Kind.ADD_RETURN, pid=7, rc=rc),
        Event((begin_ms + 2) * MS, Kind.WAIT, pid=9, rc=rc),
        Event(end_ms * MS, Kind.WAIT_RETURN, pid=9, rc=rc),
    ]


def test_a_guests_times_are_from_the_add_to_the_end_of_the_wait(tmp_path: Path) -> None:
    events = [*walk(10, 510), *readahead(600, 700), *readahead(800, 920), *walk(1000, 1600)]
    assert times(of_events(tmp_path, events)) == {WALK: [0.5, 0.6], READAHEAD: [0.1, 0.12]}


def test_readaheads_at_the_same_time_are_told_apart(tmp_path: Path) -> None:
    first, second = readahead(100, 400, rc=1), readahead(200, 300, rc=2)
    events = [*walk(0, 10), *walk(20, 30), *sorted([*first, *second])]
    assert times(of_events(tmp_path, events))[READAHEAD] == [0.1, 0.3]


def test_the_hosts_times_are_those_of_its_runs(tmp_path: Path) -> None:
    runs = [("walk", 4 * MS), ("readahead seed_2011", MS), ("readahead seed_2011", 2 * MS), ("walk", 5 * MS)]
    assert times(of_runs(tmp_path, runs)) == {"walk": [0.004, 0.005], "readahead seed_2011": [0.001, 0.002]}


def test_a_real_guests_times_are_those_of_its_steps() -> None:
    """The case measured them too, around what the module measures: with the way to the module and back."""
    bundle = Bundle.open(DATA / "readahead" / "debian-5.10" / "rotational")
    steps = bundle.json("steps.json")

    def spans(first: str, last: str) -> list[float]:
        begun = [step["begin_ns"] for step in steps if step["name"] == first]
        ended = [step["end_ns"] for step in steps if step["name"] == last]
        return [(end - begin) / 1e9 for begin, end in zip(begun, ended, strict=True)]

    found = times(bundle)
    around = {WALK: spans("walk", "walk"), READAHEAD: spans("add", "wait")}
    assert {method: len(rounds) for method, rounds in found.items()} == {WALK: 5, READAHEAD: 5}
    for method, rounds in found.items():
        for told, seen in zip(rounds, around[method], strict=True):
            assert seen - 0.1 < told < seen


def test_nothing_was_in_memory_when_they_were_measured() -> None:
    """Each reads as much from the disks; what the first mount left to be read comes on top for the first."""
    steps = Bundle.open(DATA / "readahead" / "debian-5.10" / "rotational").json("steps.json")
    read = [int(step["result"]) for step in steps if step["name"].startswith("bytes read by")]
    assert len(read) == 10
    assert len(set(read[1:])) == 1
    assert read[0] >= read[1] > 400 * 16384


@pytest.mark.parametrize("events", [[], walk(0, 1), [*walk(0, 1), *walk(2, 3), *readahead(4, 5)]])
def test_a_record_without_turns_is_refused(events: list[Event], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="take turns"):
        times(of_events(tmp_path, events))


def test_another_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no record of reads"):
        times(BundleWriter(tmp_path / "bundle").finish({}))
