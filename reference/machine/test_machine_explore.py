# SPDX-License-Identifier: GPL-2.0-or-later
"""Exploring finds in each classic race what is there and nothing else, and agrees with brute force."""

from __future__ import annotations

import random
import re
from math import comb

import pytest

from reference.machine import (
    BUG_ON,
    PREEMPT,
    Bug,
    DataCorruption,
    Deadlock,
    Exploration,
    Finding,
    Found,
    Machine,
    Scenario,
    Steps,
    current,
    explore,
    random_runs,
    render,
    replay,
    shrink,
)
from reference.machine.testing import CLASSICS, Classic, Mutex, brute_force, peterson

each_classic = pytest.mark.parametrize("classic", CLASSICS, ids=lambda classic: classic.name)
finite = pytest.mark.parametrize(
    "classic",
    [classic for classic in CLASSICS if classic.name not in ("critical section", "livelock")],
    ids=lambda classic: classic.name,
)
"""Those in which nobody spins on a variable, so that there are finitely many schedules."""


def kinds(result: Exploration) -> set[type[Finding]]:
    return {type(found.finding) for found in result.found}


def test_each_kind_of_finding_has_a_classic() -> None:
    assert {classic.kind for classic in CLASSICS} == set(Finding.__subclasses__())


@each_classic
def test_exploring_finds_the_race_and_only_that(classic: Classic) -> None:
    result = explore(classic.wrong)
    assert result.complete
    assert kinds(result) == {classic.kind}
    assert all(re.fullmatch(classic.message, found.finding.message) for found in result.found)


@each_classic
def test_exploring_finds_nothing_where_it_is_mended(classic: Classic) -> None:
    result = explore(classic.right)
    assert result.found == []
    assert result.complete
    assert result.states > result.executions > 0


@finite
@pytest.mark.parametrize("side", ["wrong", "right"])
def test_leaving_known_states_loses_nothing_that_brute_force_finds(classic: Classic, side: str) -> None:
    scenario: Scenario = getattr(classic, side)
    _, endings, _ = brute_force(scenario)
    found = {str(found.finding) for found in explore(scenario).found}
    assert found == set(endings) - {"fine"}


@finite
def test_shrinking_gets_to_what_brute_force_knows_to_be_cheapest(classic: Classic) -> None:
    _, _, costs = brute_force(classic.wrong)
    for found in explore(classic.wrong).found:
        assert shrink(classic.wrong, found).cost == costs[str(found.finding)]


def walk(stops: int) -> Steps[None]:
    for _ in range(stops):
        yield PREEMPT


@pytest.mark.parametrize("stops", [(0, 0), (1, 2), (3, 3), (4, 2), (1, 1, 1), (2, 1, 2)])
def test_independent_tasks_have_a_grid_of_states_and_multinomially_many_schedules(
    stops: tuple[int, ...],
) -> None:
    def scenario(machine: Machine) -> None:
        for index, number in enumerate(stops):
            machine.task("ABC"[index], walk(number))

    schedules, states, steps = 1, 1, 0
    for number in stops:
        steps += number + 1
        schedules *= comb(steps, number + 1)
        states *= number + 2
    assert brute_force(scenario)[0] == schedules
    result = explore(scenario)
    assert (result.states, result.complete) == (states, True)


def peterson_by_hand() -> int:
    """Count the states of Peterson's algorithm as a table: where each task is, and whose turn it is.

    0 begins, 1 has raised its flag, 2 tests the other's flag, 3 tests the turn, 4 is inside, 5 has ended.
    """
    seen, waiting = {(0, 0, 0)}, [(0, 0, 0)]
    while waiting:
        *at, turn = waiting.pop()
        for me in (0, 1):
            flag = 1 <= at[1 - me] <= 4
            to = [1, 2, 3 if flag else 4, 4 if turn == me else 2, 5][at[me] : at[me] + 1]
            for place in to:
                then = [place, at[1]] if me == 0 else [at[0], place]
                state = (then[0], then[1], 1 - me if at[me] == 1 else turn)
                if state not in seen:
                    seen.add(state)
                    waiting.append(state)
    return len(seen)


def test_peterson_has_the_states_that_a_table_of_it_has() -> None:
    def scenario(machine: Machine) -> None:
        mutex = Mutex()
        machine.task("A", peterson(mutex, 0))
        machine.task("B", peterson(mutex, 1))
        # At the end too `turn` is part of the state only if somebody can still look.
        machine.at_end.append(lambda: mutex.critical(mutex.turn).close())

    assert explore(scenario).states == peterson_by_hand() > 30


@each_classic
def test_a_schedule_shows_its_finding_again(classic: Classic) -> None:
    for found in explore(classic.wrong).found:
        again = replay(classic.wrong, found.schedule, max_steps=100)
        assert again is not None
        if not found.finding.message.startswith("livelock"):
            assert str(again.finding) == str(found.finding)
            assert again.cost == found.cost
        assert replay(classic.right, (), max_steps=100) is None


@each_classic
def test_random_runs_find_the_race_and_nothing_where_it_is_mended(classic: Classic) -> None:
    result = random_runs(classic.wrong, random.Random(1), 300, max_steps=200)
    assert kinds(result) == {classic.kind}
    assert not result.complete
    assert result.executions == 300
    assert random_runs(classic.right, random.Random(1), 300, max_steps=200).found == []


@finite
def test_what_random_runs_find_shrinks(classic: Classic) -> None:
    _, _, costs = brute_force(classic.wrong)
    for found in random_runs(classic.wrong, random.Random(2), 300).found:
        assert shrink(classic.wrong, found).cost == costs[str(found.finding)]


def test_the_same_seed_gives_the_same_schedules() -> None:
    first, second = (random_runs(CLASSICS[2].wrong, random.Random(7), 50) for _ in range(2))
    assert [found.schedule for found in first.found] == [found.schedule for found in second.found]
    assert first.steps == second.steps
    assert first.steps != random_runs(CLASSICS[2].wrong, random.Random(8), 50).steps


@finite
def test_a_bound_on_preemptions_finds_what_so_many_are_enough_for(classic: Classic) -> None:
    _, _, costs = brute_force(classic.wrong)
    for bound in range(3):
        result = explore(classic.wrong, preemptions=bound)
        assert {str(found.finding) for found in result.found} == {
            name for name, (preemptions, _) in costs.items() if preemptions <= bound
        }
        assert not result.complete


def test_with_a_bound_it_matters_who_ran_last() -> None:
    def scenario(machine: Machine) -> None:
        total = [0]

        def add(amount: int) -> Steps[None]:
            seen = total[0]
            yield PREEMPT
            total[0] = seen + amount

        def tell() -> None:
            raise DataCorruption(str(total[0]))

        machine.task("A", add(1))
        machine.task("B", add(10))
        machine.at_end.append(tell)

    # Both have read 0 after A B and after B A; who may go on for nothing differs, and so does the end.
    ends = [
        {found.finding.message for found in explore(scenario, preemptions=bound).found} for bound in (0, 1)
    ]
    assert ends == [{"11"}, {"11", "1", "10"}]


class Seen:
    def __init__(self) -> None:
        self.x = self.seen = 0
        self.between = False


def test_with_a_bound_a_state_that_is_met_again_for_less_is_looked_at_again() -> None:
    def scenario(machine: Machine) -> None:
        shared = Seen()

        def look() -> Steps[None]:
            yield PREEMPT
            shared.seen = shared.x
            yield PREEMPT
            shared.seen = 0

        def write() -> Steps[None]:
            shared.x = 1
            yield PREEMPT
            BUG_ON(shared.between, "between")

        def meddle() -> Steps[None]:
            yield PREEMPT
            shared.between = shared.seen == 1

        machine.task("A", look())
        machine.task("B", write())
        machine.task("C", meddle())

    # A B A is met first, with two preemptions, and the same state by B A A, with one: C then has the second.
    assert brute_force(scenario)[2] == {"Bug: BUG_ON(between)": (2, 6)}
    assert [len(explore(scenario, preemptions=bound).found) for bound in (1, 2)] == [0, 1]


def test_who_was_interrupted_still_has_the_cpu_afterwards() -> None:
    def scenario(machine: Machine) -> None:
        machine.task("A", walk(3))
        machine.task("B", walk(0))
        machine.interrupts.raise_irq("bio", walk(0))
        machine.at_end.append(fail)

    def fail() -> None:
        raise DataCorruption("always")

    costs = {}
    for schedule in ("A|bio|A|A|A|B", "A|bio|B|A|A|A", "A|B|bio|A|A|A", "A|A|A|A|bio|B"):
        found = replay(scenario, schedule.split("|"))
        assert found is not None
        costs[schedule] = found.preemptions
    assert list(costs.values()) == [1, 2, 1, 0]


def test_unfinished_tasks_are_closed_at_once_as_themselves() -> None:
    closed: list[str] = []

    def guarded() -> Steps[None]:
        try:
            yield PREEMPT
            raise Bug("found")
        finally:
            closed.append(current().name)

    def scenario(machine: Machine) -> None:
        machine.task("A", guarded())
        machine.task("B", guarded())

    found = replay(scenario, "ABA")
    assert found is not None
    assert closed == ["A", "B"]
    closed.clear()
    result = explore(scenario)
    assert len(closed) > result.executions
    closed.clear()
    render(scenario, found)
    assert closed == ["A", "B"]


def test_of_two_schedules_for_one_finding_the_cheaper_is_kept() -> None:
    result = Exploration()
    for schedule, preemptions in (("ABAB", 2), ("ABBB", 1), ("AABB", 1), ("AAB", 2)):
        result.add(Found(Deadlock("the same"), tuple(schedule), preemptions))
    result.add(Found(Deadlock("another"), ("A",), 0))
    assert [found.schedule for found in result.found] == [tuple("ABBB"), ("A",)]


def test_too_many_states_make_it_incomplete() -> None:
    result = explore(CLASSICS[5].right, max_states=10)
    assert not result.complete
    assert 10 < result.states < explore(CLASSICS[5].right).states


def test_an_end_that_does_not_come_is_found_by_random_runs_and_replays() -> None:
    def spin() -> Steps[None]:
        while True:
            yield PREEMPT

    def scenario(machine: Machine) -> None:
        machine.task("A", spin())

    (found,) = random_runs(scenario, random.Random(1), 1, max_steps=20).found
    assert str(found.finding) == "Deadlock: no end after 20 steps"
    again = replay(scenario, (), max_steps=20)
    assert again is not None
    assert isinstance(again.finding, Deadlock)


@each_classic
def test_a_rendering_says_what_is_wrong_and_names_who_did_it(classic: Classic) -> None:
    for found in explore(classic.wrong).found:
        lines = render(classic.wrong, found).splitlines()
        assert lines[0] == str(found.finding)
        assert set(lines[3].split()) == set(found.schedule)
        assert len(lines) >= 4 + len(found.schedule)
