# SPDX-License-Identifier: GPL-2.0-or-later
"""Small random programs: what exploring, bounding and shrinking say, against running every schedule.

Each way in which a program can end is a finding, so that none can be left out without notice.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from reference.machine import (
    PREEMPT,
    Blocked,
    Bug,
    DataCorruption,
    Found,
    Machine,
    RwLock,
    Scenario,
    Steps,
    Stop,
    WaitQueue,
    explore,
    random_runs,
    replay,
    shrink,
)
from reference.machine.testing import brute_force

MOST_SCHEDULES = 3000
Operation = tuple[str, int]
Program = list[list[Operation]]


class Shared:
    """What the tasks of a program share."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.values = [0, 0]
        self.locks = [RwLock("a"), RwLock("b")]
        self.queue = WaitQueue("wq")

    def load(self, which: int, seen: list[int]) -> Iterator[Stop]:
        seen[0] = self.values[which]
        yield PREEMPT

    def store(self, which: int, seen: list[int]) -> Iterator[Stop]:
        self.values[which] = seen[0] + 1
        yield PREEMPT

    def double(self, which: int, _: list[int]) -> Iterator[Stop]:
        yield from self.locks[which].write_lock_irq()
        self.values[which] = 2 * self.values[which] + 1
        self.locks[which].write_unlock_irq()

    def read(self, which: int, seen: list[int]) -> Iterator[Stop]:
        yield from self.locks[which].read_lock_irq()
        seen[0] = self.values[which]
        self.locks[which].read_unlock_irq()

    def nest(self, which: int, _: list[int]) -> Iterator[Stop]:
        yield from self.locks[which].read_lock_irq()
        yield from self.locks[1 - which].write_lock_irq()
        self.values[which] += 5
        self.locks[1 - which].write_unlock_irq()
        self.locks[which].read_unlock_irq()

    def sleep(self, which: int, _: list[int]) -> Iterator[Stop]:
        waiter = self.queue.prepare_to_wait(exclusive=which == 1)
        yield PREEMPT
        yield from waiter.schedule(until=lambda: self.values[which] > 0)

    def wake(self, _: int, __: list[int]) -> Iterator[Stop]:
        self.queue.wake_up()
        yield PREEMPT

    def wait(self, which: int, seen: list[int]) -> Iterator[Stop]:
        # What is waited for is in the stop alone, in no variable of the task.
        yield Blocked(lambda: self.values[which] >= 1, "a value") if seen[0] else PREEMPT

    def submit(self, which: int, seen: list[int]) -> Iterator[Stop]:
        seen[1] += 1
        self.machine.interrupts.raise_irq(f"bio {seen[2]} {seen[1]}", self.complete(which))
        yield PREEMPT

    def complete(self, which: int) -> Steps[None]:
        self.values[which] += 1
        self.queue.wake_up()
        yield PREEMPT
        self.values[1 - which] *= 2


OPERATIONS = ("load", "store", "double", "read", "nest", "sleep", "wake", "wait", "submit")


def scenario_of(program: Program, *, interleaves: bool) -> Scenario:
    def task(shared: Shared, number: int) -> Steps[int]:
        seen = [0, 0, number]
        for name, which in program[number]:
            yield from getattr(shared, name)(which, seen)
        return seen[0]

    def scenario(machine: Machine) -> None:
        machine.interleaves = interleaves
        shared = Shared(machine)
        tasks = [machine.task("ABC"[number], task(shared, number)) for number in range(len(program))]

        def tell() -> None:
            raise DataCorruption(f"{shared.values} {[task.result for task in tasks]}")

        machine.at_end.append(tell)

    return scenario


def programs(seed: int, count: int) -> Iterator[Scenario]:
    """Yield scenarios with few enough schedules to run them all."""
    rng = random.Random(seed)
    while count:
        lengths = rng.choice([(1, 2), (2, 2), (2, 3), (3, 3), (1, 1, 1), (1, 1, 2)])
        program = [[(rng.choice(OPERATIONS), rng.randrange(2)) for _ in range(length)] for length in lengths]
        scenario = scenario_of(program, interleaves=rng.random() < 0.5)
        schedules, endings, _ = brute_force(scenario, MOST_SCHEDULES)
        if schedules <= MOST_SCHEDULES and len(endings) > 1:
            count -= 1
            yield scenario


@pytest.mark.parametrize("seed", range(3))
def test_exploring_tells_every_end_that_there_is(seed: int) -> None:
    for scenario in programs(seed, 8):
        _, endings, _ = brute_force(scenario)
        result = explore(scenario)
        assert {str(found.finding) for found in result.found} == set(endings)
        assert result.complete


@pytest.mark.parametrize("seed", range(3, 6))
def test_a_bound_tells_every_end_within_it(seed: int) -> None:
    for scenario in programs(seed, 6):
        _, _, costs = brute_force(scenario)
        for bound in range(3):
            result = explore(scenario, preemptions=bound)
            assert {str(found.finding) for found in result.found} == {
                name for name, (preemptions, _) in costs.items() if preemptions <= bound
            }
            assert all(found.preemptions <= bound for found in result.found)


def costliest(scenario: Scenario, rng: random.Random, runs: int) -> list[Found]:
    """Return the worst schedule for each finding of some random runs."""
    worst: dict[str, Found] = {}
    for _ in range(runs):
        for found in random_runs(scenario, rng, 1).found:
            other = worst.setdefault(str(found.finding), found)
            worst[str(found.finding)] = max(found, other, key=lambda each: each.cost)
    return list(worst.values())


@pytest.mark.parametrize("seed", range(6, 9))
def test_shrinking_comes_to_the_fewest_preemptions(seed: int) -> None:
    improved = 0
    for scenario in programs(seed, 6):
        _, _, costs = brute_force(scenario)
        for found in costliest(scenario, random.Random(seed), 50):
            shrunk = shrink(scenario, found)
            assert shrunk.cost == costs[str(found.finding)]
            improved += shrunk.cost < found.cost
    assert improved > 10


def test_shrinking_leaves_out_steps_that_are_not_needed() -> None:
    def scenario(machine: Machine) -> None:
        progress = [0]

        def work() -> Steps[None]:
            for step in range(1, 7):
                progress[0] = step
                yield PREEMPT

        def look() -> Steps[None]:
            yield PREEMPT
            if 2 <= progress[0] <= 5:
                raise Bug("half done")

        machine.task("A", work())
        machine.task("B", look())

    found = replay(scenario, "ABAAAAB")
    assert found is not None
    assert found.cost == (3, 7)
    assert shrink(scenario, found).schedule == ("A", "A", "B", "B")
