# SPDX-License-Identifier: GPL-2.0-or-later
"""Random schedules, for scenarios with too many states to see them all."""

from __future__ import annotations

from typing import Protocol

from reference.machine.explore import Exploration
from reference.machine.findings import Deadlock, Finding
from reference.machine.machine import Scenario
from reference.machine.run import Run

__all__ = ["Chooser", "random_runs"]


class Chooser(Protocol):
    """What is needed of a random.Random: the caller has it, since models have no randomness of their own."""

    def randrange(self, stop: int, /) -> int:
        """Return a number from 0 to `stop` - 1."""


def random_runs(scenario: Scenario, rng: Chooser, runs: int, *, max_steps: int = 10_000) -> Exploration:
    """Execute `scenario` `runs` times with choices of `rng`; the same seed gives the same schedules.

    Each run draws how much its tasks like to go on: schedules that switch at every stop rarely get one task
    far ahead of another, and those that seldom switch miss what needs two switches close together.
    """
    result = Exploration(complete=False)
    for _ in range(runs):
        with Run(scenario) as run:
            try:
                _to_the_end(run, rng, (1, 2, 8)[rng.randrange(3)], max_steps)
            except Finding as finding:
                result.add(run.found(finding))
        result.executions += 1
        result.steps += len(run.taken)
    return result


def _to_the_end(run: Run, rng: Chooser, patience: int, max_steps: int) -> None:
    while choices := run.choices():
        if len(run.taken) >= max_steps:
            raise Deadlock(f"no end after {max_steps} steps")
        goes_on = choices[0] == run.last and rng.randrange(patience) != 0
        run.choose(choices[0 if goes_on else rng.randrange(len(choices))])
    run.machine.finish()
