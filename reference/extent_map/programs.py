# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of several tasks on one tree: what only the interleaving shows, such as wake-ups that get lost.

A program is a list of calls for each task. Whether a task that sleeps at the end was owed a wake-up is told
by what it waits for (LostWakeUp); one that waits for a lock that nobody gave back (Deadlock) is no fault of
the tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.bits import EXTENT_DIRTY, EXTENT_LOCKED, EXTENT_NEW, GFP_NOFS
from reference.extent_map.calls import Call
from reference.extent_map.hunt import Chooser
from reference.extent_map.make import extent_map_tree
from reference.extent_map.tree import ExtentMapTree
from reference.machine import Deadlock, Exploration, Found, Machine, Scenario, Steps, explore, random_runs

__all__ = ["Program", "Race", "faults", "hunt_programs", "scenario", "shrink_program"]

Program = tuple[tuple[Call, ...], ...]
"""The calls of each task."""
BYTES = 4


class Race(NamedTuple):
    """A program, and a schedule of it that shows something."""

    program: Program
    found: Found

    def __str__(self) -> str:
        tasks = (
            f"{name}: {'; '.join(map(str, calls))}" for name, calls in zip("ABC", self.program, strict=False)
        )
        return "\n".join([*tasks, f"  {' '.join(self.found.schedule)} -> {self.found.finding}"])


def scenario(behaviour: Behaviour, program: Program) -> Scenario:
    """Return the scenario of `program` on an empty tree, which at the end must be sound and without leaks."""

    def build(machine: Machine) -> None:
        tree = extent_map_tree(behaviour, strict=True)
        for name, calls in zip("ABC", program, strict=False):
            machine.task(name, _task(tree, calls))
        machine.at_end += [tree.validate, tree.check_quiet]

    return build


def _task(tree: ExtentMapTree, calls: tuple[Call, ...]) -> Steps[None]:
    for call in calls:
        yield from _steps(tree, call)


def _steps(tree: ExtentMapTree, call: Call) -> Steps[int]:
    start, end, bits = call.start, call.end, call.bits
    if call.name == "lock":
        return tree.lock_extent(start, end, GFP_NOFS)
    if call.name == "wait":
        return tree.wait_extent_bit(start, end, bits)
    if call.name == "set":
        return tree.set_extent_bit(start, end, bits, False, None, GFP_NOFS)
    return tree.clear_extent_bit(start, end, bits, True, False, GFP_NOFS)


def faults(result: Exploration) -> list[Found]:
    """Return what was found but for deadlocks."""
    return [found for found in result.found if not isinstance(found.finding, Deadlock)]


def hunt_programs(behaviour: Behaviour, rng: Chooser, programs: int, runs: int = 12) -> Race | None:
    """Try up to `programs` random programs under `runs` schedules each; return the first race, shrunk."""
    for _ in range(programs):
        program = random_program(rng)
        if found := faults(random_runs(scenario(behaviour, program), rng, runs)):
            return shrink_program(behaviour, Race(program, found[0]))
    return None


def random_program(rng: Chooser) -> Program:
    """Return two tasks: one that sets a bit, and sets and clears that and another, one that waits for it."""
    bit = (EXTENT_DIRTY, EXTENT_LOCKED)[rng.randrange(2)]
    start, end = _random_range(rng, 0, BYTES - 1)
    works = [_set(start, end, bit)]
    for _ in range(1 + rng.randrange(3)):
        first, last = _random_range(rng, 0, BYTES - 1)
        bits = bit if rng.randrange(3) else EXTENT_NEW
        works.append(_set(first, last, bits) if rng.randrange(2) else Call("clear", first, last, bits))
    first, last = _random_range(rng, start, end)
    return (tuple(works), (Call("wait", first, last, bit),))


def _set(start: int, end: int, bits: int) -> Call:
    return Call("lock", start, end) if bits == EXTENT_LOCKED else Call("set", start, end, bits)


def _random_range(rng: Chooser, low: int, high: int) -> tuple[int, int]:
    start = low + rng.randrange(high - low + 1)
    return start, start + rng.randrange(high - start + 1)


def shrink_program(behaviour: Behaviour, race: Race) -> Race:
    """Return the smallest race of the same kind that leaving out and narrowing calls leads to.

    Each smaller program is explored completely, so that its schedule is the cheapest there is.
    """
    best, progress = race, True
    while progress:
        progress = False
        for program in _simpler(best.program):
            found = faults(explore(scenario(behaviour, program), max_states=20_000))
            alike = [other for other in found if other.finding.kind == race.found.finding.kind]
            if alike:
                best, progress = Race(program, min(alike, key=lambda other: other.cost)), True
                break
    return best


def _simpler(program: Program) -> Iterator[Program]:
    for task, calls in enumerate(program):
        for index, call in enumerate(calls):
            fewer = calls[:index] + calls[index + 1 :]
            yield (*program[:task], fewer, *program[task + 1 :])
            if call.start < call.end:
                for start, end in ((call.start + 1, call.end), (call.start, call.end - 1)):
                    narrower = (*calls[:index], call._replace(start=start, end=end), *calls[index + 1 :])
                    yield (*program[:task], narrower, *program[task + 1 :])
