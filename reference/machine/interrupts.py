# SPDX-License-Identifier: GPL-2.0-or-later
"""Interrupts that are due, such as completions of bios, until somebody delivers them."""

from __future__ import annotations

from typing import NamedTuple

from reference.machine.steps import Steps

__all__ = ["Interrupt", "Interrupts"]


class Interrupt(NamedTuple):
    """An interrupt that is due: its name in schedules, and its handler, which runs in interrupt context."""

    name: str
    handler: Steps[None]


class Interrupts:
    """Interrupts that are due. Devices raise them; run_alone and Machine deliver them, in any order."""

    __slots__ = ("pending",)

    def __init__(self) -> None:
        self.pending: list[Interrupt] = []
        """In the order in which they were raised."""

    def __len__(self) -> int:
        return len(self.pending)

    def raise_irq(self, name: str, handler: Steps[None]) -> None:
        """Make an interrupt due; names are unique among those pending (for rendering and replaying)."""
        if any(interrupt.name == name for interrupt in self.pending):
            raise ValueError(f"interrupt {name} is pending already")
        self.pending.append(Interrupt(name, handler))

    def take(self, index: int) -> Interrupt:
        """Remove the pending interrupt `index` and return it."""
        return self.pending.pop(index)
