# SPDX-License-Identifier: GPL-2.0-or-later
"""What a capture delivers at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.bundle import Table
from harness.capture.checkpoints import Checkpoint

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
