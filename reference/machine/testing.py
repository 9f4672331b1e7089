# SPDX-License-Identifier: GPL-2.0-or-later
"""Classic races for tests, each kind of finding with a scenario that has it and one in which it is mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from reference.machine import (
    BUG_ON,
    PREEMPT,
    WARN_ON,
    Bug,
    DataCorruption,
    Deadlock,
    Finding,
    LeakedReference,
    LockLeftHeld,
    LostWakeUp,
    Machine,
    RwLock,
    Scenario,
    Slab,
    SlabObject,
    Steps,
    UseAfterFree,
    WaitQueue,
    Warned,
)

__all__ = ["CLASSICS", "Classic", "Mutex", "brute_force", "lock_page", "page_users", "peterson", "two"]


class Classic(NamedTuple):
    """A race: the scenario that has it, the one that has not, and what is found."""

    name: str
    wrong: Scenario
    right: Scenario
    kind: type[Finding]
    message: str
    """A regular expression."""


def two(steps: Callable[[int], Steps[None]], machine: Machine) -> None:
    """Add the tasks A and B, which run `steps(0)` and `steps(1)`."""
    machine.task("A", steps(0))
    machine.task("B", steps(1))


class Mutex:
    """The variables of Dekker and Peterson, and who is in the critical section."""

    def __init__(self) -> None:
        self.flag = [False, False]
        self.turn = 0
        self.inside = 0

    def critical(self, me: int) -> Steps[None]:
        """Be in the critical section for a step."""
        self.inside += 1
        BUG_ON(self.inside > 1, "inside > 1")
        yield PREEMPT
        self.inside -= 1
        self.flag[me] = False


def peterson(mutex: Mutex, me: int) -> Steps[None]:
    """Peterson's algorithm (1981); every access to a shared variable is a step."""
    mutex.flag[me] = True
    yield PREEMPT
    mutex.turn = 1 - me
    while True:
        yield PREEMPT
        if not mutex.flag[1 - me]:
            break
        yield PREEMPT
        if mutex.turn == me:
            break
    yield from mutex.critical(me)


def test_then_set(mutex: Mutex, me: int) -> Steps[None]:
    while mutex.flag[1 - me]:
        yield PREEMPT
    yield PREEMPT
    mutex.flag[me] = True
    yield from mutex.critical(me)


def set_then_test(mutex: Mutex, me: int) -> Steps[None]:
    mutex.flag[me] = True
    yield PREEMPT
    while mutex.flag[1 - me]:
        yield PREEMPT
    yield from mutex.critical(me)


def _mutex(algorithm: Callable[[Mutex, int], Steps[None]]) -> Scenario:
    def scenario(machine: Machine) -> None:
        mutex = Mutex()
        two(lambda me: algorithm(mutex, me), machine)

    return scenario


class _Page:
    def __init__(self, name: str = "page") -> None:
        self.name = name
        self.locked = False
        self.wq = WaitQueue(f"{name}->wq")

    def unlocked(self) -> bool:
        return not self.locked


def lock_page_wrongly(page: _Page) -> Steps[None]:
    while page.locked:
        yield PREEMPT
        waiter = page.wq.prepare_to_wait()
        yield from waiter.schedule(until=page.unlocked)
    page.locked = True


def lock_page(page: _Page) -> Steps[None]:
    """Queue, then test, then sleep."""
    while page.locked:
        waiter = page.wq.prepare_to_wait()
        yield PREEMPT
        if page.locked:
            yield from waiter.schedule(until=page.unlocked)
        page.wq.finish_wait(waiter)
    page.locked = True


def unlock_page(page: _Page) -> Steps[None]:
    page.locked = False
    yield PREEMPT
    page.wq.wake_up()


def page_users(lock_page: Callable[[_Page], Steps[None]], tasks: int = 2, times: int = 1) -> Scenario:
    """Return a scenario in which `tasks` tasks lock and unlock one page, `times` times each."""

    def user(page: _Page) -> Steps[None]:
        for _ in range(times):
            yield from lock_page(page)
            yield PREEMPT
            yield from unlock_page(page)

    def scenario(machine: Machine) -> None:
        page = _Page()
        for index in range(tasks):
            machine.task("ABCDEFGH"[index], user(page))

    return scenario


def _read_page(lock_page: Callable[[_Page], Steps[None]]) -> Scenario:
    """Read a page: its completion, an interrupt, unlocks it."""

    def end_io(page: _Page) -> Steps[None]:
        yield from unlock_page(page)

    def read(machine: Machine, page: _Page) -> Steps[None]:
        page.locked = True
        machine.interrupts.raise_irq("bio", end_io(page))
        yield PREEMPT
        yield from lock_page(page)

    def scenario(machine: Machine) -> None:
        machine.task("A", read(machine, _Page()))

    return scenario


def _abba(second: Callable[[int], int]) -> Scenario:
    def nest(outer: RwLock, inner: RwLock) -> Steps[None]:
        yield from outer.write_lock_irq()
        yield from inner.write_lock_irq()
        inner.write_unlock_irq()
        outer.write_unlock_irq()

    def scenario(machine: Machine) -> None:
        locks = [RwLock("a"), RwLock("b")]
        two(lambda me: nest(locks[1 - second(me)], locks[second(me)]), machine)

    return scenario


def _abba_of_pages(second: Callable[[int], int]) -> Scenario:
    def nest(outer: _Page, inner: _Page) -> Steps[None]:
        yield from lock_page(outer)
        yield PREEMPT
        yield from lock_page(inner)
        yield from unlock_page(inner)
        yield from unlock_page(outer)

    def scenario(machine: Machine) -> None:
        pages = [_Page("a"), _Page("b")]
        two(lambda me: nest(pages[1 - second(me)], pages[second(me)]), machine)

    return scenario


class _State(SlabObject):
    def __init__(self) -> None:
        self.refs = 1
        self.bits = 1
        self.wq = WaitQueue("state->wq")

    def __repr__(self) -> str:
        return "<state>"


class _Tree:
    def __init__(self) -> None:
        self.lock = RwLock("tree->lock")
        self.slab = Slab("extent_state")
        self.state: _State | None = self.alloc()

    def alloc(self) -> _State:
        state = _State()
        self.slab.born(state)
        return state

    def free(self, state: _State) -> None:
        self.slab.check(state)
        state.refs -= 1
        if state.refs == 0:
            self.slab.died(state)


def clear_state(tree: _Tree) -> Steps[None]:
    yield from tree.lock.write_lock_irq()
    if tree.state is not None:
        tree.state.bits = 0
        tree.state.wq.wake_up()
        tree.free(tree.state)
        tree.state = None
    tree.lock.write_unlock_irq()


def _wait_for_state(*, takes: bool, drops: bool) -> Scenario:
    """Wait for a state's bits, which somebody clears and frees; with or without a reference of one's own."""

    def wait(tree: _Tree) -> Steps[None]:
        yield from tree.lock.write_lock_irq()
        state = tree.state
        if state is None:
            tree.lock.write_unlock_irq()
            return
        state.refs += takes
        waiter = state.wq.prepare_to_wait()
        tree.lock.write_unlock_irq()
        yield from waiter.schedule(until=lambda: not state.bits)
        tree.slab.check(state)
        if drops:
            tree.free(state)

    def scenario(machine: Machine) -> None:
        tree = _Tree()
        machine.task("A", wait(tree))
        machine.task("B", clear_state(tree))
        machine.at_end.append(tree.slab.check_empty)

    return scenario


def _insert(
    *, unlocks: bool = True, frees: bool = True, asserts: bool = False, warns: bool = False
) -> Scenario:
    """Insert a state prepared without the lock, unless somebody was faster."""

    def insert(tree: _Tree) -> Steps[None]:
        found = tree.state is not None
        yield PREEMPT
        prealloc = tree.alloc()
        yield from tree.lock.write_lock_irq()
        WARN_ON(warns and tree.state is not None and not found, "tree->state")
        if tree.state is not None:
            BUG_ON(asserts and not found, "err == -EEXIST")
            if unlocks:
                tree.lock.write_unlock_irq()
            if frees:
                tree.free(prealloc)
            return
        tree.state = prealloc
        tree.lock.write_unlock_irq()

    def scenario(machine: Machine) -> None:
        tree = _Tree()
        assert tree.state is not None
        tree.free(tree.state)
        tree.state = None

        def only_it_is_left() -> None:
            assert tree.state is not None
            tree.free(tree.state)
            tree.slab.check_empty()

        two(lambda _: insert(tree), machine)
        machine.at_end.append(only_it_is_left)

    return scenario


def _count(*, locks: bool) -> Scenario:
    def count(total: list[int], lock: RwLock) -> Steps[None]:
        if locks:
            yield from lock.write_lock_irq()
            total[0] += 1
            lock.write_unlock_irq()
            return
        seen = total[0]
        yield PREEMPT
        total[0] = seen + 1

    def scenario(machine: Machine) -> None:
        total, lock = [0], RwLock("lock")

        def all_counted() -> None:
            if total != [2]:
                raise DataCorruption(f"counted {total[0]} of 2")

        two(lambda _: count(total, lock), machine)
        machine.at_end.append(all_counted)

    return scenario


CLASSICS = [
    Classic("critical section", _mutex(test_then_set), _mutex(peterson), Bug, r"BUG_ON\(inside > 1\)"),
    Classic(
        "livelock", _mutex(set_then_test), _mutex(peterson), Deadlock, "livelock: from here on nothing ends"
    ),
    Classic(
        "sleep after test",
        page_users(lock_page_wrongly),
        page_users(lock_page),
        LostWakeUp,
        r"[AB] sleeps in schedule\(\) on page->wq, though what it waits for has come",
    ),
    Classic(
        "completion before sleep",
        _read_page(lock_page_wrongly),
        _read_page(lock_page),
        LostWakeUp,
        r"A sleeps in schedule\(\) on page->wq, though what it waits for has come",
    ),
    Classic(
        "ABBA",
        _abba(lambda me: me),
        _abba(lambda _: 1),
        Deadlock,
        r"A waits in write_lock_irq\(a\); B waits in write_lock_irq\(b\)",
    ),
    Classic(
        "ABBA of page locks",
        _abba_of_pages(lambda me: me),
        _abba_of_pages(lambda _: 1),
        Deadlock,
        r"A waits in schedule\(\) on a->wq; B waits in schedule\(\) on b->wq",
    ),
    Classic(
        "no reference taken",
        _wait_for_state(takes=False, drops=False),
        _wait_for_state(takes=True, drops=True),
        UseAfterFree,
        "A uses an extent_state that was freed",
    ),
    Classic(
        "reference not dropped",
        _wait_for_state(takes=True, drops=False),
        _wait_for_state(takes=True, drops=True),
        LeakedReference,
        "1 of extent_state left: <state>",
    ),
    Classic(
        "prealloc not freed",
        _insert(frees=False),
        _insert(),
        LeakedReference,
        "1 of extent_state left: <state>",
    ),
    Classic(
        "early return",
        _insert(unlocks=False),
        _insert(),
        LockLeftHeld,
        r"[AB] ends with write_lock_irq\(tree->lock\) held",
    ),
    Classic("lost update", _count(locks=False), _count(locks=True), DataCorruption, "counted 1 of 2"),
    Classic("insert after test", _insert(asserts=True), _insert(), Bug, r"BUG_ON\(err == -EEXIST\)"),
    Classic("warning", _insert(warns=True), _insert(), Warned, r"WARN_ON\(tree->state\)"),
]
"""Each kind of finding is there at least once."""


def brute_force(
    scenario: Scenario, limit: int = 20_000
) -> tuple[int, Counter[str], dict[str, tuple[int, int]]]:
    """Run every schedule: how many there are, how many end in what, and the least cost of each finding.

    It shares nothing with the explorer but the machine, and is left off at `limit` schedules.
    """
    schedules, endings, costs = 0, Counter[str](), dict[str, tuple[int, int]]()
    waiting: list[tuple[str, ...]] = [()]
    while waiting and schedules <= limit:
        schedule = waiting.pop()
        machine, last, preemptions, ending = Machine(), "", 0, "fine"
        scenario(machine)
        try:
            for name in schedule:
                preemptions += last != name and last in machine.choices()
                machine.step(name)
                last = name if name in machine.tasks else last
            choices = machine.choices()
            if choices:
                waiting += [(*schedule, name) for name in choices]
                continue
            machine.finish()
        except Finding as finding:
            ending = str(finding)
            costs[ending] = min(costs.get(ending, (99, 99)), (preemptions, len(schedule)))
        schedules += 1
        endings[ending] += 1
    return schedules, endings, costs
