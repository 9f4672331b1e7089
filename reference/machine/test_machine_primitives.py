# SPDX-License-Identifier: GPL-2.0-or-later
"""Locks, wait queues, slabs, interrupts, and running alone."""

from __future__ import annotations

import copy
import doctest

import pytest

import reference.machine
from reference.machine import (
    PREEMPT,
    WARN_ON,
    Bug,
    Deadlock,
    Finding,
    Interrupts,
    LeakedReference,
    LockLeftHeld,
    LostWakeUp,
    RwLock,
    Slab,
    SlabObject,
    Steps,
    UseAfterFree,
    WaitQueue,
    Warned,
    alone,
    lock,
    run_alone,
    slab,
)


@pytest.mark.parametrize("module", [reference.machine, alone, lock, slab], ids=lambda module: module.__name__)
def test_the_examples_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


def test_a_result_comes_back() -> None:
    def twice(number: int) -> Steps[int]:
        yield PREEMPT
        return 2 * number

    assert run_alone(twice(21)) == 42


def read_then_write(tree_lock: RwLock) -> Steps[None]:
    yield from tree_lock.read_lock_irq()
    yield from tree_lock.read_lock_irq()
    tree_lock.read_unlock_irq()
    tree_lock.read_unlock_irq()
    yield from tree_lock.write_lock_irq()
    tree_lock.write_unlock_irq()


def test_readers_nest_and_a_lock_let_go_is_free() -> None:
    tree_lock = RwLock("tree->lock")
    run_alone(read_then_write(tree_lock))
    assert tree_lock.holders() == "nobody"


def upgrade(tree_lock: RwLock) -> Steps[None]:
    yield from tree_lock.read_lock_irq()
    yield from tree_lock.write_lock_irq()


def stop_with_lock(tree_lock: RwLock) -> Steps[None]:
    yield from tree_lock.write_lock_irq()
    yield PREEMPT


def sleep_with_lock(_: RwLock) -> Steps[None]:
    yield from RwLock("tree").read_lock_irq()
    yield from WaitQueue().prepare_to_wait().schedule()


def end_with_lock(tree_lock: RwLock) -> Steps[None]:
    yield from tree_lock.read_lock_irq()


def unlock_twice(tree_lock: RwLock) -> Steps[None]:
    yield from tree_lock.write_lock_irq()
    tree_lock.write_unlock_irq()
    tree_lock.write_unlock_irq()


def unlock_as_reader(tree_lock: RwLock) -> Steps[None]:
    yield from tree_lock.write_lock_irq()
    tree_lock.read_unlock_irq()


def warn(_: RwLock) -> Steps[None]:
    WARN_ON(False, "1 > 2")
    assert WARN_ON(True, "2 > 1") is True
    yield PREEMPT


def warn_last(_: RwLock) -> Steps[None]:
    yield PREEMPT
    WARN_ON(True, "last")


def leave_stack_on_queue(_: RwLock) -> Steps[None]:
    WaitQueue("state->wq").prepare_to_wait()
    yield PREEMPT


@pytest.mark.parametrize(
    ("steps", "finding", "message"),
    [
        (upgrade, Deadlock, "task waits in write_lock_irq(tree->lock)"),
        (stop_with_lock, LockLeftHeld, "task gives way with write_lock_irq(tree->lock) held"),
        (
            sleep_with_lock,
            LockLeftHeld,
            "task gives way in schedule() on wq with read_lock_irq(tree) held",
        ),
        (end_with_lock, LockLeftHeld, "task ends with read_lock_irq(tree->lock) held"),
        (unlock_twice, LockLeftHeld, "task write-unlocks tree->lock, which nobody holds"),
        (unlock_as_reader, LockLeftHeld, "task read-unlocks tree->lock, which task holds"),
        (warn, Warned, "WARN_ON(2 > 1)"),
        (warn_last, Warned, "WARN_ON(last)"),
        (leave_stack_on_queue, UseAfterFree, "task ends with its stack on the wait queue state->wq"),
    ],
)
def test_misuse_is_found(steps: object, finding: type[Finding], message: str) -> None:
    with pytest.raises(finding) as caught:
        run_alone(steps(RwLock("tree->lock")))  # type: ignore[operator]
    assert caught.value.message == message
    assert str(caught.value) == f"{finding.__name__}: {message}"


def test_a_warning_outside_of_any_task_is_not_lost() -> None:
    with pytest.raises(Warned, match=r"WARN_ON\(state->in_tree\)"):
        WARN_ON(True, "state->in_tree")


def test_sleeping_for_ever_is_a_deadlock_and_with_the_condition_met_a_lost_wake_up() -> None:
    with pytest.raises(Deadlock, match=r"schedule\(\) on wq"):
        run_alone(WaitQueue().prepare_to_wait().schedule(until=lambda: False))
    with pytest.raises(LostWakeUp, match=r"schedule\(\) on wq"):
        run_alone(WaitQueue().prepare_to_wait().schedule(until=lambda: True))


def test_wake_up_wakes_all_that_share_and_one_exclusive_waiter() -> None:
    queue = WaitQueue()
    exclusive = [queue.prepare_to_wait(exclusive=True) for _ in range(3)]
    shared = [queue.prepare_to_wait() for _ in range(2)]
    assert queue.waiters == [*reversed(shared), *exclusive]
    queue.wake_up()
    assert [waiter.woken for waiter in [*shared, *exclusive]] == [True, True, True, False, False]
    queue.wake_up(0)
    assert all(waiter.woken for waiter in exclusive)
    assert queue.waiters == []
    queue.finish_wait(shared[0])


def complete(order: list[str], name: str, queue: WaitQueue) -> Steps[None]:
    order.append(name)
    queue.wake_up()
    yield from ()


def submit_three(irqs: Interrupts, order: list[str]) -> Steps[None]:
    queue = WaitQueue()
    for name in ("a", "b", "c"):
        irqs.raise_irq(name, complete(order, name, queue))
    yield from queue.wait_event(lambda: len(order) == 3)


@pytest.mark.parametrize(("pick", "expected"), [(None, "abc"), (lambda pending: len(pending) - 1, "cba")])
def test_the_caller_says_in_which_order_interrupts_come(pick: object, expected: str) -> None:
    irqs, order = Interrupts(), list[str]()
    run_alone(submit_three(irqs, order), irqs, pick)  # type: ignore[arg-type]
    assert "".join(order) == expected
    assert len(irqs) == 0


def test_eager_interrupts_come_at_each_stop() -> None:
    irqs, order = Interrupts(), list[str]()

    def task() -> Steps[str]:
        irqs.raise_irq("a", complete(order, "a", WaitQueue()))
        yield PREEMPT
        return "".join(order)

    assert run_alone(task(), irqs) == ""
    irqs.take(0)
    assert run_alone(task(), irqs, eager=True) == "a"


def test_eager_interrupts_do_not_come_while_a_spinlock_is_held() -> None:
    irqs, outer, inner = Interrupts(), RwLock("outer"), RwLock("inner")

    def end_io() -> Steps[None]:
        yield from outer.write_lock_irq()
        outer.write_unlock_irq()

    def task() -> Steps[None]:
        yield from outer.write_lock_irq()
        irqs.raise_irq("bio", end_io())
        yield from inner.write_lock_irq()
        inner.write_unlock_irq()
        outer.write_unlock_irq()
        yield PREEMPT

    run_alone(task(), irqs, eager=True)
    assert len(irqs) == 0


def test_two_pending_interrupts_of_one_name_are_refused() -> None:
    irqs = Interrupts()
    irqs.raise_irq("a", complete([], "a", WaitQueue()))
    with pytest.raises(ValueError, match="interrupt a is pending already"):
        irqs.raise_irq("a", complete([], "a", WaitQueue()))


def sleep_in_handler(_: RwLock) -> Steps[None]:
    yield from WaitQueue("wq").prepare_to_wait().schedule()


def spin_in_handler(tree_lock: RwLock) -> Steps[None]:
    yield from tree_lock.read_lock_irq()
    yield from tree_lock.write_lock_irq()


@pytest.mark.parametrize(
    ("handler", "finding", "message"),
    [
        (sleep_in_handler, Bug, "scheduling while atomic: interrupt bio in schedule() on wq"),
        (spin_in_handler, Deadlock, "interrupt bio spins for ever in write_lock_irq(tree->lock)"),
        (end_with_lock, LockLeftHeld, "bio ends with read_lock_irq(tree->lock) held"),
    ],
)
def test_handlers_neither_sleep_nor_leave_locks(
    handler: object, finding: type[Finding], message: str
) -> None:
    irqs = Interrupts()
    irqs.raise_irq("bio", handler(RwLock("tree->lock")))  # type: ignore[operator]
    with pytest.raises(finding) as caught:
        run_alone(WaitQueue().wait_event(lambda: False), irqs)
    assert caught.value.message == message


def test_freeing_twice_and_leaking_are_found() -> None:
    cache, state = Slab("extent_state"), SlabObject()
    cache.born(state)
    cache.check(state)
    assert cache.leaks() == [state]
    with pytest.raises(LeakedReference, match="1 of extent_state left: <"):
        cache.check_empty()
    cache.died(state)
    cache.check_empty()
    with pytest.raises(UseAfterFree, match="nobody frees an extent_state that was freed"):
        cache.died(state)


def test_a_copy_of_a_slab_knows_its_own_objects() -> None:
    slab, first = Slab("thing"), SlabObject()
    slab.born(first)
    copied, of_first = copy.deepcopy((slab, first))
    copied.died(of_first)
    assert (len(slab), len(copied)) == (1, 0)
    slab.check(first)
