# SPDX-License-Identifier: GPL-2.0-or-later
"""One execution of a scenario under a schedule: names of tasks and interrupts, in the order of steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reference.machine.findings import Deadlock, Finding
from reference.machine.machine import Machine, Scenario

__all__ = ["Found", "Run", "Schedule", "replay"]

Schedule = tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """A finding and a schedule that shows it; `replay` and `render` take the schedule."""

    finding: Finding
    schedule: Schedule
    preemptions: int
    """How often a task had to give way to another though it could have gone on."""

    @property
    def cost(self) -> tuple[int, int]:
        """What shrinking makes less: preemptions, then steps."""
        return (self.preemptions, len(self.schedule))


class Run:
    """A machine with its scenario, and what has been chosen so far."""

    def __init__(self, scenario: Scenario, *, listens: bool = False) -> None:
        self.machine = Machine(listens=listens)
        self.taken: list[str] = []
        self.last = ""
        """The task that ran last; handlers that run at once do not count."""
        self.preemptions = 0
        scenario(self.machine)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        """Abandon what has not ended."""
        self.machine.close()

    def choices(self) -> list[str]:
        """Return what can be chosen, what needs no preemption first."""
        names = self.machine.choices()
        if self.last in names:
            names.remove(self.last)
            names.insert(0, self.last)
        return names

    def preempts(self, name: str) -> bool:
        """Return whether choosing `name` takes the CPU from a task that could go on."""
        task = self.machine.tasks.get(self.last)
        return name != self.last and task is not None and task.can_go_on()

    def choose(self, name: str) -> None:
        """Take one step; raises its Finding."""
        self.preemptions += self.preempts(name)
        self.taken.append(name)
        self.machine.step(name)
        if name in self.machine.tasks:
            self.last = name

    def found(self, finding: Finding) -> Found:
        """Return `finding` with the schedule that led to it."""
        return Found(finding, tuple(self.taken), self.preemptions)


def replay(scenario: Scenario, schedule: Iterable[str], max_steps: int = 100_000) -> Found | None:
    """Run `scenario` under `schedule` and return what it shows, or None.

    Choices that are not possible are passed over. Once all are made, the task that ran last goes on as long
    as it can, then the first that can. An end that does not come in `max_steps` steps is a Deadlock.
    """
    with Run(scenario) as run:
        try:
            for name in schedule:
                if name in run.machine.choices():
                    run.choose(name)
            while choices := run.choices():
                if len(run.taken) >= max_steps:
                    raise Deadlock(f"no end after {max_steps} steps")
                run.choose(choices[0])
            run.machine.finish()
        except Finding as finding:
            return run.found(finding)
    return None
