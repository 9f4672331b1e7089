# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks and interrupts that take turns, one step at a time, as somebody outside chooses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from reference.machine.alone import check_end, check_stop, deliver, stuck
from reference.machine.current import Context
from reference.machine.findings import DataCorruption, Finding
from reference.machine.interrupts import Interrupts
from reference.machine.steps import PREEMPT, Blocked, Steps, Stop

__all__ = ["Machine", "Scenario", "Task"]


class Task(Context):
    """A modelled function under way, with where it stopped last."""

    __slots__ = ("done", "result", "steps", "stop")

    def __init__(self, name: str, steps: Steps[object], *, irq: bool, notes: list[str] | None) -> None:
        super().__init__(name, irq=irq, notes=notes)
        self.steps = steps
        self.stop: Stop = PREEMPT
        self.done = False
        self.result: object = None

    def __fingerprint__(self) -> object:
        """Where it is, and what that depends on."""
        if self.done:
            return (self.name, self.result)
        stop = self.stop
        condition = stop.condition if isinstance(stop, Blocked) else None
        return (self.name, self.steps, condition, len(self.held), len(self.queued))

    def can_go_on(self) -> bool:
        """Return whether a step of it is possible now."""
        stop = self.stop
        return not self.done and (not isinstance(stop, Blocked) or stop.condition())

    def step(self) -> None:
        """Run to the next stop; raises the Finding that the step deserves."""
        try:
            with self:
                self.stop = next(self.steps)
            check_stop(self, self.stop)
        except StopIteration as end:
            self.done = True
            self.result = end.value
            check_end(self)


class Machine:
    """All that runs in one scenario. What it does depends on nothing but the scenario and the choices.

    >>> from reference.machine import Machine, PREEMPT
    >>> def count(total):
    ...     for _ in range(2):
    ...         seen = total[0]
    ...         yield PREEMPT
    ...         total[0] = seen + 1
    >>> machine, total = Machine(), [0]
    >>> for name in "AB":
    ...     _ = machine.task(name, count(total))
    >>> for name in "ABABAB":
    ...     machine.step(name)
    >>> machine.choices(), total         # four increments, of which two got lost
    ([], [2])
    """

    def __init__(self, *, listens: bool = False) -> None:
        self.tasks: dict[str, Task] = {}
        self.interrupts = Interrupts()
        """What devices of the scenario raise their interrupts with."""
        self.interleaves = False
        """Whether others may run between the stops of a handler, as on another CPU. For scenarios to set."""
        self.ignores_warnings = False
        """Whether to go on after WARN_ON as the kernel does. For scenarios to set."""
        self.invariants: list[Callable[[], None]] = []
        """Called after each step; they raise a Finding or AssertionError. For scenarios to fill."""
        self.at_end: list[Callable[[], None]] = []
        """Called when all has ended, likewise."""
        self.notes: list[str] | None = [] if listens else None
        """What modelled code said since the list was emptied."""

    def __fingerprint__(self) -> object:
        """All that the future depends on."""
        return (list(self.tasks.values()), self.interrupts.pending, self.invariants, self.at_end)

    def task(self, name: str, steps: Steps[object]) -> Task:
        """Add a task, which begins when it is first chosen. Names are unique."""
        return self._add(name, steps, irq=False)

    def choices(self) -> list[str]:
        """Return the names of the tasks that can go on and of the interrupts that can come."""
        names = [task.name for task in self.tasks.values() if task.can_go_on()]
        # A handler that runs at once on the CPU of a task comes while that task has interrupts on.
        if self.interleaves or not any(task.held for task in self.tasks.values()):
            names += [interrupt.name for interrupt in self.interrupts.pending]
        return names

    def step(self, name: str) -> None:
        """Let the task or interrupt `name`, one of `choices()`, run to its next stop.

        Raises Findings; an AssertionError of modelled code or of an invariant becomes DataCorruption.
        """
        try:
            self._step(name)
            for check in self.invariants:
                check()
        except AssertionError as error:
            raise DataCorruption(str(error)) from error

    def finish(self) -> None:
        """Say that there are no choices left. Raises a Finding if something waits, or if the end is wrong."""
        waiting = [(task, task.stop) for task in self.tasks.values() if not task.done]
        if waiting:
            raise stuck([(task, stop) for task, stop in waiting if isinstance(stop, Blocked)])
        try:
            for check in self.at_end:
                check()
        except AssertionError as error:
            raise DataCorruption(str(error)) from error

    def close(self) -> None:
        """Abandon all that has not ended. Left to the garbage collector, generators in rings complain."""
        for task in self.tasks.values():
            with task, suppress(Finding):
                task.steps.close()
        for interrupt in self.interrupts.pending:
            interrupt.handler.close()

    def _step(self, name: str) -> None:
        task = self.tasks.get(name)
        if task is None:
            names = [interrupt.name for interrupt in self.interrupts.pending]
            interrupt = self.interrupts.take(names.index(name))
            if not self.interleaves:
                deliver(interrupt, self.notes, ignores_warnings=self.ignores_warnings)
                return
            task = self._add(name, interrupt.handler, irq=True)
        task.ignores_warnings = self.ignores_warnings
        task.step()

    def _add(self, name: str, steps: Steps[object], *, irq: bool) -> Task:
        if name in self.tasks:
            raise ValueError(f"there is a task {name} already")
        task = self.tasks[name] = Task(name, steps, irq=irq, notes=self.notes)
        return task


Scenario = Callable[[Machine], None]
"""Builds everything anew, adds the tasks and says what must hold. It is called once a schedule."""
