# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure how far exploring interleavings goes: `python -m benchmarks.concurrency [--states N]`. No root.

Tasks lock and unlock one page, a little kernel code with a wait queue (`reference.machine.testing`). Each row
is a number of tasks and of rounds: all schedules first, then those with at most two preemptions, then random
ones. Times are CPU time of this process.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from benchmarks.common import arguments, run, show_machine
from reference.machine import Exploration, Scenario, explore, random_runs
from reference.machine.testing import lock_page, page_users

__all__ = ["main"]

SIZES = ((2, 1), (2, 4), (2, 16), (3, 1), (3, 2), (3, 4), (4, 1), (4, 2))
"""Tasks, and how often each locks the page."""
RANDOM_RUNS = 300


def main() -> None:
    """Measure, and print a table."""
    options = arguments(
        "Measure how far exploring interleavings goes.",
        states=(50_000, "states after which exploring gives up"),
    )
    deadline = time.monotonic() + options.deadline
    show_machine()
    print("| tasks x rounds | way | states | executions | complete | s | states/s | steps/s |")
    for tasks, times in SIZES:
        scenario = page_users(lock_page, tasks, times)
        for way, explored in _ways(scenario, options.states).items():
            if time.monotonic() > deadline:
                print("deadline: the rest was left out")
                return
            _show(f"{tasks} x {times} | {way}", explored)


def _ways(scenario: Scenario, states: int) -> dict[str, Callable[[], Exploration]]:
    return {
        "all": lambda: explore(scenario, max_states=states),
        "2 preemptions": lambda: explore(scenario, max_states=states, preemptions=2),
        "random": lambda: random_runs(scenario, random.Random(1), RANDOM_RUNS),
    }


def _show(name: str, explored: Callable[[], Exploration]) -> None:
    begin = time.process_time()
    result = explored()
    seconds = time.process_time() - begin
    rates = f"{seconds:.2f} | {result.states / seconds:,.0f} | {result.steps / seconds:,.0f}"
    print(f"| {name} | {result.states:,} | {result.executions:,} | {result.complete} | {rates} |")


if __name__ == "__main__":
    run(main)
