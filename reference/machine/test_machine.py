# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine alone: choices, interrupts of both kinds, checks of scenarios, and how schedules look."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Callable

import pytest

from reference.machine import (
    PREEMPT,
    WARN_ON,
    Bug,
    DataCorruption,
    Deadlock,
    Finding,
    Found,
    Machine,
    RwLock,
    Scenario,
    Steps,
    WaitQueue,
    explore,
    note,
    render,
    replay,
    shrink,
)
from reference.machine.testing import CLASSICS


@pytest.mark.parametrize("module", ["machine", "explore", "fingerprint"])
def test_the_examples_hold(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"reference.machine.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


def nested(outer: RwLock, inner: RwLock) -> Steps[None]:
    yield from outer.write_lock_irq()
    yield from inner.write_lock_irq()
    inner.write_unlock_irq()
    outer.write_unlock_irq()


def take(lock: RwLock) -> Steps[None]:
    yield from lock.write_lock_irq()
    lock.write_unlock_irq()


def test_a_handler_that_runs_at_once_waits_until_no_task_has_interrupts_off() -> None:
    machine, locks = Machine(), [RwLock("a"), RwLock("b")]
    machine.task("A", nested(*locks))
    machine.interrupts.raise_irq("bio", take(locks[0]))
    assert machine.choices() == ["A", "bio"]
    machine.step("A")
    machine.step("A")
    assert machine.choices() == ["A"]
    machine.step("A")
    assert machine.choices() == ["bio"]
    machine.step("bio")
    assert machine.choices() == []
    machine.finish()


def test_on_another_cpu_a_handler_comes_at_any_time_and_waits_for_the_lock() -> None:
    machine, locks = Machine(), [RwLock("a"), RwLock("b")]
    machine.interleaves = True
    machine.task("A", nested(*locks))
    machine.interrupts.raise_irq("bio", take(locks[0]))
    for name in ("A", "A", "bio"):
        machine.step(name)
    assert machine.choices() == ["A"]
    machine.step("A")
    machine.step("bio")
    machine.finish()


def two_sections(total: list[int]) -> Steps[None]:
    total[0] += 1
    yield PREEMPT
    total[0] -= 1


def sees_half_a_handler(machine: Machine, *, interleaves: bool) -> None:
    total = [0]

    def look() -> Steps[None]:
        yield PREEMPT
        if total != [0]:
            raise DataCorruption("half done")

    machine.interleaves = interleaves
    machine.interrupts.raise_irq("bio", two_sections(total))
    machine.task("A", look())


def test_only_an_interleaved_handler_is_seen_half_done() -> None:
    (found,) = explore(lambda machine: sees_half_a_handler(machine, interleaves=True)).found
    assert str(found.finding) == "DataCorruption: half done"
    assert explore(lambda machine: sees_half_a_handler(machine, interleaves=False)).found == []


def sleep() -> Steps[None]:
    yield from WaitQueue("wq").wait_event(lambda: False)


@pytest.mark.parametrize("interleaves", [False, True])
def test_a_handler_must_not_sleep(interleaves: bool) -> None:
    machine = Machine()
    machine.interleaves = interleaves
    machine.interrupts.raise_irq("bio", sleep())
    with pytest.raises(Bug, match=r"scheduling while atomic: interrupt bio in schedule\(\) on wq"):
        machine.step("bio")


def test_a_spinlock_that_its_holder_takes_again_is_a_deadlock() -> None:
    def scenario(machine: Machine) -> None:
        lock = RwLock("tree->lock")
        machine.task("A", nested(lock, lock))

    (found,) = explore(scenario).found
    assert str(found.finding) == "Deadlock: A waits in write_lock_irq(tree->lock)"


def test_two_tasks_of_one_name_are_refused() -> None:
    machine = Machine()
    machine.task("A", two_sections([0]))
    with pytest.raises(ValueError, match="there is a task A already"):
        machine.task("A", two_sections([0]))


def test_an_invariant_is_checked_after_each_step() -> None:
    def scenario(machine: Machine) -> None:
        total = [0]

        def validate() -> None:
            assert total[0] < 2, "invariant 1: total is 2"

        machine.invariants.append(validate)
        for name in "AB":
            machine.task(name, two_sections(total))

    (found,) = explore(scenario).found
    assert isinstance(found.finding, DataCorruption)
    assert found.schedule == ("A", "B")


def warns_then_breaks(machine: Machine, *, ignores: bool) -> None:
    def steps() -> Steps[None]:
        yield PREEMPT
        WARN_ON(True, "first")
        yield PREEMPT
        raise Bug("then")

    machine.ignores_warnings = ignores
    machine.interrupts.raise_irq("bio", steps())
    machine.task("A", steps())


@pytest.mark.parametrize(("ignores", "expected"), [(False, "Warned: WARN_ON(first)"), (True, "Bug: then")])
def test_warnings_end_a_schedule_unless_ignored(ignores: bool, expected: str) -> None:
    found = explore(lambda machine: warns_then_breaks(machine, ignores=ignores)).found
    assert [str(each.finding) for each in found] == [expected]


def test_an_error_of_the_model_itself_is_no_finding() -> None:
    def steps() -> Steps[None]:
        yield PREEMPT
        raise KeyError("a bug of ours")

    machine = Machine()
    machine.task("A", steps())
    machine.step("A")
    with pytest.raises(KeyError, match="a bug of ours"):
        machine.step("A")


def test_replay_passes_over_what_is_not_possible() -> None:
    wrong = next(classic.wrong for classic in CLASSICS if classic.name == "lost update")
    found = replay(wrong, ("bio", "A", "B", "B", "B", "B"))
    assert found is not None
    assert found.schedule == ("A", "B", "B", "A")
    assert found.preemptions == 1


def test_shrinking_keeps_to_what_it_is_told_to_keep() -> None:
    def scenario(machine: Machine) -> None:
        def steps(text: str, stops: int) -> Steps[None]:
            for _ in range(stops):
                yield PREEMPT
            raise Bug(text)

        machine.task("A", steps("long", 4))
        machine.task("B", steps("short", 1))

    found = replay(scenario, "ABAAAA")
    assert found is not None
    assert found.finding.message == "long"
    assert shrink(scenario, found).schedule == ("A",) * 5
    assert shrink(scenario, found, lambda finding: finding.message == "short").schedule == ("B", "B")
    assert shrink(scenario, found, lambda _: False) == found


def a_write_meets_its_page_locked(machine: Machine) -> None:
    lock = RwLock("tree->lock")
    queue = WaitQueue("state->wq")

    def set_extent_bit(start: int, end: int) -> Steps[None]:
        yield from lock.write_lock_irq()
        note(f"EXTENT_LOCKED set on {start}-{end}")
        lock.write_unlock_irq()

    def _may_sleep(start: int, end: int) -> Steps[None]:
        yield from set_extent_bit(start, end)

    def lock_extent(start: int, end: int, mode: str) -> Steps[None]:
        yield from _may_sleep(start, end)
        if mode == "sleep":
            yield from queue.prepare_to_wait().schedule(until=lambda: True)

    def end_io() -> Steps[None]:
        queue.wake_up()
        yield from ()

    machine.task("A", lock_extent(0, 4095, "sleep"))
    machine.task("B", lock_extent(4096, 8191, "go"))
    machine.interrupts.raise_irq("bio", end_io())


RENDERED = """\
LostWakeUp: A sleeps in schedule() on state->wq, though what it waits for has come
5 steps, preempted never

bio                                  B                                  A
  wake_up(state->wq): nobody waits
                                     lock_extent(4096, 8191, go)
                                       set_extent_bit(4096, 8191)
                                       write_lock_irq(tree->lock)
                                       EXTENT_LOCKED set on 4096-8191
                                       write_unlock_irq(tree->lock)
                                       ends
                                                                        lock_extent(0, 4095, sleep)
                                                                          set_extent_bit(0, 4095)
                                                                          write_lock_irq(tree->lock)
                                                                          EXTENT_LOCKED set on 0-4095
                                                                          write_unlock_irq(tree->lock)
                                                                          prepare_to_wait(state->wq)
                                                                          waits: schedule() on state->wq"""


def test_a_schedule_reads_like_a_commit_message() -> None:
    found = replay(a_write_meets_its_page_locked, ["bio", "B", "B", "A", "A"])
    assert found is not None
    assert render(a_write_meets_its_page_locked, found) == RENDERED


def rendered(scenario: Scenario, schedule: str) -> list[str]:
    found = replay(scenario, schedule)
    assert isinstance(found, Found)
    return render(scenario, found).splitlines()


def test_a_rendering_ends_with_what_is_wrong_in_the_column_of_who_did_it() -> None:
    wrong = next(classic.wrong for classic in CLASSICS if classic.name == "no reference taken")
    assert rendered(wrong, "AABBA")[-1] == "*** A uses an extent_state that was freed"


def test_a_rendering_of_a_bug_does_not_say_who_waits_besides() -> None:
    wrong = next(classic.wrong for classic in CLASSICS if classic.name == "insert after test")
    lines = rendered(wrong, "AABBBA")
    assert lines[-1] == "*** BUG_ON(err == -EEXIST)"
    assert not any("waits:" in line for line in lines)


def test_a_rendering_of_a_deadlock_says_who_waits_where() -> None:
    wrong = next(classic.wrong for classic in CLASSICS if classic.name == "ABBA")
    lines = rendered(wrong, "AABB")
    assert [line.strip() for line in lines[-2:]] == ["waits: write_lock_irq(b)", "waits: write_lock_irq(a)"]
    assert sum("waits:" in line for line in lines) == 2


STUCK: list[tuple[Callable[[], Steps[None]], type[Finding]]] = [(sleep, Deadlock)]


@pytest.mark.parametrize(("steps", "kind"), STUCK)
def test_the_end_of_choices_is_judged(steps: Callable[[], Steps[None]], kind: type[Finding]) -> None:
    machine = Machine()
    machine.task("A", steps())
    machine.step("A")
    assert machine.choices() == []
    with pytest.raises(kind):
        machine.finish()
