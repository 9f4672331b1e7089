# SPDX-License-Identifier: GPL-2.0-or-later
"""Where modelled code can stop: everything between two stops is atomic."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

__all__ = ["PREEMPT", "Blocked", "Steps", "Stop", "cond_resched"]

T = TypeVar("T")


class Stop:
    """A point at which others may run. `why` says what comes next, as a kernel developer would."""

    __slots__ = ("why",)

    def __init__(self, why: str = "") -> None:
        self.why = why


class Blocked(Stop):
    """A stop that is left only when `condition()` is true, which has no side effects.

    `spins`: waits for a spinlock on its CPU (as interrupt handlers may) instead of sleeping.
    `until`: for diagnosis only, whether what the sleeper is after has come true.
    """

    __slots__ = ("condition", "spins", "until")

    def __init__(
        self,
        condition: Callable[[], bool],
        why: str,
        *,
        spins: bool = False,
        until: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(why)
        self.condition = condition
        self.spins = spins
        self.until = until


PREEMPT = Stop()
"""Another task may run here, or an interrupt; no spinlock may be held."""

Steps = Generator[Stop, None, T]
"""A modelled function that can sleep or be preempted, called with `yield from`; its result is a T."""


def cond_resched() -> Steps[None]:
    """Let others run (include/linux/sched.h)."""
    yield PREEMPT
