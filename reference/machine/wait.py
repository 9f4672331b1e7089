# SPDX-License-Identifier: GPL-2.0-or-later
"""Wait queues (kernel/wait.c of Linux 2.6.22, with the autoremove_wake_function of DEFINE_WAIT)."""

from __future__ import annotations

from collections.abc import Callable

from reference.machine.current import Context, current, note
from reference.machine.steps import Blocked, Steps

__all__ = ["WaitQueue", "Waiter"]


class Waiter:
    """One entry of a wait queue (`wait_queue_t`), on the stack of the task that waits."""

    __slots__ = ("context", "exclusive", "queue", "woken")

    def __init__(self, queue: WaitQueue, context: Context, exclusive: bool) -> None:
        self.queue = queue
        self.context = context
        self.exclusive = exclusive
        self.woken = False

    def schedule(self, until: Callable[[], bool] | None = None) -> Steps[None]:
        """Sleep until woken; not at all if a wake-up came since prepare_to_wait (`schedule`, kernel/sched.c).

        `until` changes nothing. It says whether what the sleeper is after has come true, by which a wake-up
        that was lost (LostWakeUp) is told from one that nobody ever owed (Deadlock).
        """
        yield Blocked(self._is_woken, f"schedule() on {self.queue.name}", until=until)

    def _is_woken(self) -> bool:
        return self.woken


class WaitQueue:
    """`wait_queue_head_t`. Wakers take those they wake off the queue.

    The correct way to wait, which `wait_event` packs into one function::

        waiter = queue.prepare_to_wait()
        if not done():                              # tested after queueing, or the wake-up can be lost
            yield from waiter.schedule(until=done)
        queue.finish_wait(waiter)
    """

    __slots__ = ("name", "waiters")

    def __init__(self, name: str = "wq") -> None:
        self.name = name
        self.waiters: list[Waiter] = []
        """First to be woken first; exclusive ones behind all others."""

    def prepare_to_wait(self, *, exclusive: bool = False) -> Waiter:
        """Queue `current()`, which from now on notices wake-ups (`prepare_to_wait`, `..._exclusive`)."""
        context = current()
        waiter = Waiter(self, context, exclusive)
        if exclusive:
            self.waiters.append(waiter)
        else:
            self.waiters.insert(0, waiter)
        context.queued.append(waiter)
        note(f"prepare_to_wait({self.name})")
        return waiter

    def finish_wait(self, waiter: Waiter) -> None:
        """Take `waiter` off the queue if nobody has (`finish_wait`)."""
        if waiter in self.waiters:
            self._remove(waiter)

    def wake_up(self, exclusive: int = 1) -> None:
        """Wake all that are not exclusive, and `exclusive` of those that are; 0 means all (`__wake_up`)."""
        woken = [waiter for waiter in self.waiters if not waiter.exclusive]
        queued = [waiter for waiter in self.waiters if waiter.exclusive]
        woken += queued[:exclusive] if exclusive else queued
        for waiter in woken:
            waiter.woken = True
            self._remove(waiter)
        note(f"wake_up({self.name}): {', '.join(waiter.context.name for waiter in woken) or 'nobody waits'}")

    def wait_event(self, condition: Callable[[], bool]) -> Steps[None]:
        """Sleep until `condition()` holds (`wait_event`, include/linux/wait.h)."""
        while not condition():
            waiter = self.prepare_to_wait()
            if not condition():
                yield from waiter.schedule(until=condition)
            self.finish_wait(waiter)

    def _remove(self, waiter: Waiter) -> None:
        self.waiters.remove(waiter)
        waiter.context.queued.remove(waiter)
