# SPDX-License-Identifier: GPL-2.0-or-later
"""What counted work costs a processor of 2007: a model, with its constants at both ends of what is likely."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from reference.index import Work

__all__ = ["CORNERS", "Costs", "constants"]


@dataclass(frozen=True)
class Costs:
    """Cycles. What is the same for all variants (locks, states, calls from outside) is left out."""

    visit: int
    """Reading a node that is not in a register: from a cache of the second level, or from memory."""
    allocation: int
    """Taking a node from its slab and giving it back."""
    call: int
    """Calling an operation of the index and returning."""
    step: int = 1
    """A comparison, a slot looked at, a slot moved."""
    rotation: int = 3
    """Nodes that a rotation reads: it costs as many visits."""

    def cycles(self, work: Work, calls: int) -> int:
        """Return what `work`, asked for by `calls`, costs."""
        return (
            self.visit * work.node_visits
            + self.step * (work.compares + work.slots + work.moves)
            + self.rotation * self.visit * work.rotations
            + self.allocation * work.allocations
            + self.call * calls
        )


_VISIT, _ALLOCATION, _CALL = (14, 200), (100, 600), (5, 40)
CORNERS = tuple(Costs(*corner) for corner in product(_VISIT, _ALLOCATION, _CALL))
"""All combinations of the ends: a conclusion has to hold at each."""


def constants() -> tuple[tuple[str, str], ...]:
    """Return the constants as name and value."""
    return (
        ("node visit, cycles", "14 (second-level cache) to 200 (memory)"),
        ("node allocation and free, cycles", "100 to 600"),
        ("call of an index operation, cycles", "5 to 40"),
        ("comparison, slot, move, cycles", "1"),
        ("rotation, node visits", "3"),
    )
