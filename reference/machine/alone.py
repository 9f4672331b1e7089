# SPDX-License-Identifier: GPL-2.0-or-later
"""Running one modelled function to its end, with nothing else going on but interrupts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from reference.machine.current import Context
from reference.machine.findings import Bug, Deadlock, LockLeftHeld, LostWakeUp, UseAfterFree, Warned
from reference.machine.interrupts import Interrupt, Interrupts
from reference.machine.steps import Blocked, Steps, Stop

__all__ = ["check_end", "check_stop", "deliver", "run_alone", "stuck"]

T = TypeVar("T")


def run_alone(
    steps: Steps[T],
    interrupts: Interrupts | None = None,
    pick: Callable[[Sequence[Interrupt]], int] | None = None,
    *,
    eager: bool = False,
    ignores_warnings: bool = False,
    name: str = "task",
) -> T:
    """Run `steps` to the end and return its result.

    When it blocks, interrupts of `interrupts` are delivered until it can go on: `pick` says which (the index;
    by default the first). With `eager`, one is delivered at each stop even if it is not needed. What is
    pending at the end stays so. Raises the Findings of the modelled code, and Deadlock or LostWakeUp where it
    blocks for good. `ignores_warnings`: goes on after a WARN_ON as the kernel does.

    >>> from reference.machine import Interrupts, WaitQueue, run_alone
    >>> irqs, queue, done = Interrupts(), WaitQueue("page"), []
    >>> def end_io():
    ...     done.append(True)
    ...     queue.wake_up()
    ...     yield from ()
    >>> def read():
    ...     irqs.raise_irq("bio 1", end_io())
    ...     yield from queue.wait_event(lambda: bool(done))
    ...     return "read"
    >>> run_alone(read(), irqs)
    'read'
    >>> run_alone(read())               # nothing comes: what was done before does not block
    'read'
    """
    context = Context(name, ignores_warnings=ignores_warnings)
    try:
        while True:
            with context:
                stop = next(steps)
            if context.held or context.warnings:
                check_stop(context, stop)
            # While it holds a spinlock it has interrupts off.
            if eager and interrupts and not context.held:
                interrupt = interrupts.take(pick(interrupts.pending) if pick else 0)
                deliver(interrupt, ignores_warnings=ignores_warnings)
            if isinstance(stop, Blocked):
                _wait(context, stop, interrupts, pick)
    except StopIteration as end:
        check_end(context)
        result: T = end.value
        return result


def deliver(interrupt: Interrupt, notes: list[str] | None = None, *, ignores_warnings: bool = False) -> None:
    """Run the handler of `interrupt` in interrupt context, atomically. Raises Bug if it would sleep."""
    context = Context(interrupt.name, irq=True, notes=notes, ignores_warnings=ignores_warnings)
    try:
        while True:
            with context:
                stop = next(interrupt.handler)
            check_stop(context, stop)
            if isinstance(stop, Blocked) and not stop.condition():
                raise Deadlock(f"interrupt {interrupt.name} spins for ever in {stop.why}")
    except StopIteration:
        check_end(context)


def check_stop(context: Context, stop: Stop) -> None:
    """Raise the Finding that `context` deserves for stopping at `stop` as it is."""
    if context.warnings:
        raise Warned(context.warnings.pop(0))
    spins = isinstance(stop, Blocked) and stop.spins
    if context.held and not spins:
        raise LockLeftHeld(f"{context.name} gives way {_where(stop)}with {context.held[-1].held_as()} held")
    if context.irq and isinstance(stop, Blocked) and not spins:
        raise Bug(f"scheduling while atomic: interrupt {context.name} in {stop.why}")


def check_end(context: Context) -> None:
    """Raise the Finding that `context` deserves for ending as it is."""
    if context.warnings:
        raise Warned(context.warnings.pop(0))
    if context.held:
        raise LockLeftHeld(f"{context.name} ends with {context.held[-1].held_as()} held")
    if context.queued:
        raise UseAfterFree(
            f"{context.name} ends with its stack on the wait queue {context.queued[-1].queue.name}"
        )


def stuck(waiting: Sequence[tuple[Context, Blocked]]) -> Deadlock | LostWakeUp:
    """Return the Finding for a machine in which nothing can run, and these wait."""
    for context, stop in waiting:
        if stop.until is not None and stop.until():
            return LostWakeUp(f"{context.name} sleeps in {stop.why}, though what it waits for has come")
    return Deadlock("; ".join(f"{context.name} waits in {stop.why}" for context, stop in waiting))


def _wait(
    context: Context,
    stop: Blocked,
    interrupts: Interrupts | None,
    pick: Callable[[Sequence[Interrupt]], int] | None,
) -> None:
    while not stop.condition():
        if not interrupts:
            raise stuck([(context, stop)])
        interrupt = interrupts.take(pick(interrupts.pending) if pick else 0)
        deliver(interrupt, ignores_warnings=context.ignores_warnings)


def _where(stop: Stop) -> str:
    return f"in {stop.why} " if stop.why else ""
