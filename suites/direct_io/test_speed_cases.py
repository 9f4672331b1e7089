# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways take turns, and CPU time is that of the process that read."""

from __future__ import annotations

from itertools import pairwise

import pytest

from suites.direct_io.speed_cases import BUFFERED, DIRECT, ROUNDS, WORKLOADS, _task_cpu, _turns


def test_every_other_round_goes_the_other_way() -> None:
    turns = list(_turns())
    size = 2 * len(WORKLOADS)
    rounds = [turns[n : n + size] for n in range(0, len(turns), size)]
    assert len(rounds) == ROUNDS + 1
    for before, behind in pairwise(rounds):
        assert [one[1:] for one in behind] == [one[1:] for one in reversed(before)]
    assert [one[1:] for one in rounds[1]] == [(w, way) for w in WORKLOADS for way in (DIRECT, BUFFERED)]


def process(pid: int, parent: int, cpu_run_ns: int) -> dict[str, int]:
    return {"pid": pid, "parent": parent, "cpu_run_ns": cpu_run_ns}


FIRST, READER = process(10, 1, 9_000_000_000), process(11, 10, 1_250_000_000)


def test_the_reader_is_the_child_of_the_first_process() -> None:
    assert _task_cpu({"lost": 0, "processes": [READER, FIRST]}) == 1.25


@pytest.mark.parametrize(
    "told",
    [
        {"lost": 1, "processes": [READER, FIRST]},
        {"lost": 0, "processes": [FIRST]},
        {"lost": 0, "processes": [READER, process(12, 10, 1), FIRST]},
        {"job": "x", "unavailable": "the kernel sends taskstats to root only"},
    ],
)
def test_what_may_be_missing_is_not_known(told: dict[str, object]) -> None:
    assert _task_cpu(told) is None
