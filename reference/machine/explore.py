# SPDX-License-Identifier: GPL-2.0-or-later
"""All interleavings of a small scenario, each state once.

A generator cannot be copied, so a state is reached again by executing the scenario anew. Depth first: the
task that ran last goes on, and every other choice is noted for later. A state that was seen before (its
fingerprint tells) is left, since all that can follow was or will be seen. So the number of states, not that
of schedules, decides how long it takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reference.machine.findings import Deadlock, Finding
from reference.machine.fingerprint import fingerprint
from reference.machine.machine import Scenario
from reference.machine.run import Found, Run, Schedule
from reference.machine.state_graph import StateGraph

__all__ = ["Exploration", "explore"]


@dataclass
class Exploration:
    """What exploring a scenario came to."""

    found: list[Found] = field(default_factory=list)
    """One for each kind and message, the cheapest schedule that was met."""
    executions: int = 0
    """How often the scenario was executed, in part or to its end."""
    steps: int = 0
    """Steps taken, those to come back to a state included."""
    states: int = 0
    """Different states, counted at stops; 0 for random runs, which do not count them."""
    complete: bool = True
    """Whether nothing was left out: neither by a limit, nor by a bound, nor by chance."""

    def add(self, found: Found) -> None:
        """Keep `found` unless a cheaper schedule shows the same."""
        for index, other in enumerate(self.found):
            if str(other.finding) == str(found.finding):
                if found.cost < other.cost:
                    self.found[index] = found
                return
        self.found.append(found)


def explore(scenario: Scenario, *, max_states: int = 200_000, preemptions: int | None = None) -> Exploration:
    """Execute `scenario` in every way, or in every way with at most so many `preemptions`.

    A Finding ends a schedule, not the exploration. Beyond `max_states` states, what is noted is dropped, and
    the result is not complete. A complete result also says where nothing ends whatever is chosen (a livelock,
    as a Deadlock).

    >>> from reference.machine import PREEMPT, explore
    >>> def lost_update(machine):
    ...     total = [0]
    ...     def count():
    ...         seen = total[0]
    ...         yield PREEMPT
    ...         total[0] = seen + 1
    ...     def all_counted():
    ...         assert total == [2], f"counted {total[0]} of 2"
    ...     machine.task("A", count())
    ...     machine.task("B", count())
    ...     machine.at_end.append(all_counted)
    >>> result = explore(lost_update)
    >>> [(str(found.finding), found.schedule) for found in result.found]
    [('DataCorruption: counted 1 of 2', ('A', 'B', 'B', 'A'))]
    >>> result.states, result.complete
    (12, True)
    """
    return _Explorer(scenario, max_states, preemptions).explore()


class _Explorer:
    def __init__(self, scenario: Scenario, max_states: int, bound: int | None) -> None:
        self.scenario = scenario
        self.max_states = max_states
        self.bound = bound
        self.result = Exploration(complete=bound is None)
        self.graph = StateGraph()
        self.cheapest: dict[tuple[int, str], int] = {}
        """The fewest preemptions with which a state was met; what ran last matters only with a bound."""
        self.noted: list[tuple[Schedule, int, str]] = []
        """What is still to be done: how to get to a state, its number, and what to choose there."""

    def explore(self) -> Exploration:
        with Run(self.scenario) as run:
            self._follow(run, self.graph.enter(fingerprint(run.machine)), None)
        while self.noted:
            if len(self.graph) > self.max_states:
                self.result.complete = False
                break
            schedule, state, choice = self.noted.pop()
            with self._execute(schedule) as run:
                self._follow(run, state, choice)
        self.result.states = len(self.graph)
        if self.result.complete and (endless := self.graph.endless()) is not None:
            with self._execute(endless) as run:
                self.result.add(run.found(Deadlock("livelock: from here on nothing ends")))
        return self.result

    def _execute(self, schedule: Schedule) -> Run:
        run = Run(self.scenario)
        for name in schedule:
            run.choose(name)
        return run

    def _follow(self, run: Run, state: int, choice: str | None) -> None:
        """Choose `choice` in `state`; go on until a state is known, all has ended or something is found."""
        self.result.executions += 1
        try:
            choice = choice or self._next(run, state)
            while choice:
                run.choose(choice)
                state = self.graph.enter(fingerprint(run.machine), state, choice)
                choice = self._next(run, state)
        except Finding as finding:
            self.graph.ends.append(state)
            self.result.add(run.found(finding))
        self.result.steps += len(run.taken)

    def _next(self, run: Run, state: int) -> str | None:
        """Return what to choose in `state` and note what else there is; None if it need not go on."""
        if not self._is_news(run, state):
            return None
        choices = run.choices()
        if not choices:
            self.graph.ends.append(state)
            run.machine.finish()
            return None
        schedule = tuple(run.taken)
        for name in reversed(choices[1:]):
            if self.bound is None or run.preemptions + run.preempts(name) <= self.bound:
                self.noted.append((schedule, state, name))
        return choices[0]

    def _is_news(self, run: Run, state: int) -> bool:
        bounded = self.bound is not None
        key = (state, run.last if bounded else "")
        preemptions = run.preemptions if bounded else 0
        if preemptions >= self.cheapest.get(key, preemptions + 1):
            return False
        self.cheapest[key] = preemptions
        return True
