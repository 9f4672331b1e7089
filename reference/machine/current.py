# SPDX-License-Identifier: GPL-2.0-or-later
"""`current`, the task whose step is being run, and what modelled code reports through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference.machine.findings import Bug, Warned

if TYPE_CHECKING:
    from reference.machine.lock import RwLock
    from reference.machine.wait import Waiter

__all__ = ["BUG_ON", "WARN_ON", "Context", "current", "note"]


class Context:
    """What runs (a task, or an interrupt's handler): what it holds, and what it had to say."""

    __slots__ = ("held", "ignores_warnings", "irq", "name", "notes", "queued", "warnings")

    def __init__(
        self,
        name: str,
        *,
        irq: bool = False,
        notes: list[str] | None = None,
        ignores_warnings: bool = False,
    ) -> None:
        self.name = name
        self.irq = irq
        """Whether this is interrupt context, where nothing may sleep."""
        self.held: list[RwLock] = []
        """Spinlocks held, in the order in which they were taken."""
        self.queued: list[Waiter] = []
        """Its waiters that are on a wait queue: they are on its stack."""
        self.warnings: list[str] = []
        """WARN_ONs that no driver has reported yet."""
        self.ignores_warnings = ignores_warnings
        self.notes = notes
        """Where `note` goes; None when nobody listens."""

    def __enter__(self) -> None:
        """Make this the `current()` context; contexts nest, since interrupts interrupt."""
        _running.append(self)

    def __exit__(self, *_: object) -> None:
        _running.pop()

    def __fingerprint__(self) -> object:
        """What of this makes a difference later: neither notes nor what the locks and queues say already."""
        return self.name


_NOBODY = Context("nobody")
_running: list[Context] = [_NOBODY]


def current() -> Context:
    """Return what runs now; a nameless context when no driver runs anything."""
    return _running[-1]


def note(text: str) -> None:
    """Say in the schedule's text what happens here. Costs next to nothing when nobody listens."""
    notes = _running[-1].notes
    if notes is not None:
        notes.append(text)


def BUG_ON(condition: object, text: str) -> None:  # noqa: N802 - the kernel's name
    """Raise Bug if `condition` is true; `text` is the condition as the C has it."""
    if condition:
        raise Bug(f"BUG_ON({text})")


def WARN_ON(condition: object, text: str) -> bool:  # noqa: N802 - the kernel's name
    """Report that `condition` is true and go on, as the kernel does; return it as a bool.

    The driver raises Warned at the end of the step. Where there is none (plain methods), it is raised here.
    """
    if not condition:
        return False
    context = _running[-1]
    if context is _NOBODY:
        raise Warned(f"WARN_ON({text})")
    if not context.ignores_warnings:
        context.warnings.append(f"WARN_ON({text})")
    note(f"WARN_ON({text})")
    return True
