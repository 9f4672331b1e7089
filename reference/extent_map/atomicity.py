# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel with CONFIG_PREEMPT and debugging options sees: who may not sleep, who turned what off."""

from __future__ import annotations

from reference.machine import Bug, current

__all__ = ["Atomicity"]


class Atomicity:
    """The preemption count of each task, and the rules for interrupt context.

    With `strict` (CONFIG_PREEMPT, CONFIG_DEBUG_SPINLOCK_SLEEP, CONFIG_PROVE_LOCKING) a broken rule raises
    Bug. Without, nothing is said, as on most machines of 2007.
    """

    __slots__ = ("_counts", "strict")

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self._counts: dict[object, int] = {}

    def preempt_disable(self) -> None:
        """Raise the count of `current()` by one."""
        self._add(1)

    def preempt_enable(self) -> None:
        """Lower the count of `current()` by one; Bug if it was zero."""
        self._add(-1)

    def might_sleep(self, what: str) -> None:
        """Raise Bug if `current()` may not sleep, and `what` could (`might_sleep`, `schedule`)."""
        if not self.strict:
            return
        if current().irq:
            raise Bug(f"scheduling while atomic: {what} in interrupt {current().name}")
        if self._counts.get(current()):
            raise Bug(f"scheduling while atomic: {what} with preemption off in {current().name}")

    def enables_irqs(self, what: str) -> None:
        """Raise Bug if `what`, which turns interrupts on, is called in an interrupt (lockdep)."""
        if self.strict and current().irq:
            raise Bug(f"interrupts enabled in interrupt {current().name} by {what}")

    def check_balanced(self) -> None:
        """Raise Bug if somebody has left preemption off."""
        if self.strict and self._counts:
            raise Bug("preemption is left off: radix_tree_preload without radix_tree_preload_end")

    def _add(self, difference: int) -> None:
        if not self.strict:
            return
        task = current()
        count = self._counts.get(task, 0) + difference
        if count < 0:
            raise Bug(
                f"preempt_count of {task.name} falls below zero: preempt_enable without preempt_disable"
            )
        if count:
            self._counts[task] = count
        else:
            self._counts.pop(task, None)
