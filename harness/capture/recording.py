# SPDX-License-Identifier: GPL-2.0-or-later
"""What a capture delivers at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.bundle import BundleWriter, Table
from harness.capture.checkpoints import Checkpoint, save_checkpoints

__all__ = ["Recording"]


@dataclass(frozen=True)
class Recording:
    """Events in total order, checkpoints, and how much was lost."""

    method: str
    events: Table
    checkpoints: tuple[Checkpoint, ...]
    lost: dict[str, int]
    """Lost events by reason."""
    facts: dict[str, Any] = field(default_factory=dict)
    """More for the manifest's `capture`: clock, ring size, bits, owners."""

    @property
    def count(self) -> int:
        """How many events there are."""
        return len(self.events["kind"])

    def save(self, writer: BundleWriter) -> None:
        """Put the events and checkpoints into a bundle."""
        writer.add_table("events.npz", self.events)
        save_checkpoints(writer, self.checkpoints)
