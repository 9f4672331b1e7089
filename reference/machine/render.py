# SPDX-License-Identifier: GPL-2.0-or-later
"""A schedule as text: a column for each task and interrupt, time going down, as commit messages have it."""

from __future__ import annotations

from enum import Enum
from types import FrameType, GeneratorType
from typing import Any

from reference.machine.findings import Finding
from reference.machine.machine import Scenario, Task
from reference.machine.run import Found, Run
from reference.machine.steps import Blocked

__all__ = ["render"]

_PRIMITIVES = {f"reference.machine.{module}" for module in ("lock", "steps", "wait")}
"""Whose functions say themselves what they do."""
_GAP = 3  # between columns


def render(scenario: Scenario, found: Found) -> str:
    """Return the finding and the schedule that leads to it, executed once more to see what happens.

    Each line is what a task did: functions it entered (with the numbers and texts they were given), what the
    primitives and `note` say, and what it waits for when it cannot go on.
    """
    with Run(scenario, listens=True) as run:
        lines = _Listener(run, found).lines()
    columns = list(dict.fromkeys(name for name, _ in lines))
    width = {c: _GAP + max([len(c), *(len(text) for name, text in lines if name == c)]) for c in columns}
    start = {c: sum(width[other] for other in columns[:index]) for index, c in enumerate(columns)}
    head = "".join(c.ljust(width[c]) for c in columns).rstrip()
    body = [" " * start[name] + text for name, text in lines]
    times = {0: "never", 1: "once"}.get(found.preemptions, f"{found.preemptions} times")
    summary = f"{len(found.schedule)} steps, preempted {times}"
    return "\n".join([str(found.finding), summary, "", head, *body])


class _Listener:
    """An execution of a schedule, watched."""

    def __init__(self, run: Run, found: Found) -> None:
        self.run = run
        self.found = found
        self.frames: dict[int, FrameType] = {}
        """Functions that were shown; the frames are kept, lest a new one get the address of an old one."""

    def lines(self) -> list[tuple[str, str]]:
        """Return the name of the task and what it did, line by line."""
        lines: list[tuple[str, str]] = []
        for name in self.found.schedule:
            try:
                self.run.choose(name)
            except Finding as finding:
                return lines + [(name, text) for text in (*self._did(name), f"*** {finding.message}")]
            did = [*self._did(name), *self._came_to(name)] or [self._at(name)]
            lines += [(name, text) for text in did]
        last = dict(lines)
        return lines + [(name, text) for name, text in self._waiting() if last.get(name) != text]

    def _did(self, name: str) -> list[str]:
        """Return the functions that were entered in the step and what was said in it."""
        notes = self.run.machine.notes or []
        said = [f"  {text}" for text in notes]
        notes.clear()
        task = self.run.machine.tasks.get(name)
        frames = _frames(task) if task is not None else []
        entered = [
            "  " * depth + _call(frame) for depth, frame in enumerate(frames) if id(frame) not in self.frames
        ]
        self.frames.update((id(frame), frame) for frame in frames)
        return [*entered, *said]

    def _came_to(self, name: str) -> list[str]:
        """Return where the step ended, unless that goes without saying."""
        task = self.run.machine.tasks.get(name)
        if task is None:
            return []
        if task.done:
            return ["  ends"]
        if not task.can_go_on():
            return [f"  waits: {task.stop.why}"]
        return []

    def _at(self, name: str) -> str:
        """Return where the step ended, for a step of which there is nothing else to say."""
        task = self.run.machine.tasks.get(name)
        if task is None:
            return "  runs"
        place = "".join(f"{frame.f_code.co_name}:{frame.f_lineno}" for frame in _frames(task)[-1:])
        return f"  goes on to {task.stop.why or place}"

    def _waiting(self) -> list[tuple[str, str]]:
        """Return what those wait for who will never go on."""
        if self.run.machine.choices():
            return []
        tasks = [task for task in self.run.machine.tasks.values() if isinstance(task.stop, Blocked)]
        return [(task.name, f"  waits: {task.stop.why}") for task in tasks if not task.done]


def _frames(task: Task) -> list[FrameType]:
    """Return the frames of the kernel's functions that `task` is in, the outermost first.

    Functions whose names begin with an underscore are the model's own.
    """
    frames: list[FrameType] = []
    steps: Any = task.steps
    while isinstance(steps, GeneratorType) and steps.gi_frame is not None:
        ours = steps.gi_frame.f_globals["__name__"] in _PRIMITIVES or steps.__name__.startswith("_")
        if not ours:
            frames.append(steps.gi_frame)
        steps = steps.gi_yieldfrom
    return frames


def _call(frame: FrameType) -> str:
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    values = [frame.f_locals[name] for name in names if name in frame.f_locals]
    shown = [_text(value) for value in values if isinstance(value, (int, str))]
    return f"{code.co_name}({', '.join(shown)})"


def _text(value: int | str) -> str:
    return value.name if isinstance(value, Enum) else str(value)
