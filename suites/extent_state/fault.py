# SPDX-License-Identifier: GPL-2.0-or-later
"""A fault that is put into the model, and the kernels that do not have the code it breaks.

A fault is one expression or line of `reference/extent_state`. If the model changes so that `old` is not
there exactly once any more, the fault is stale, and a test says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reference.extent_state import Behaviour, BitLayout

__all__ = [
    "GROWING",
    "INSERTING",
    "NO_DIO_LOCKED",
    "ONE_HOLD",
    "SEARCHING",
    "SPLITTING",
    "TRIMMING",
    "Absent",
    "Fault",
]


@dataclass(frozen=True)
class Absent:
    """Kernels on which a fault changes nothing, because they do not have what it breaks."""

    on: Callable[[Behaviour, BitLayout], bool]
    why: str


INSERTING = Absent(
    lambda behaviour, _: behaviour.inserts_before_merging,
    "what fills a hole is inserted there, and takes in its neighbours",
)
GROWING = Absent(
    lambda behaviour, _: not behaviour.inserts_before_merging,
    "what fills a hole goes into a neighbour that is equal",
)
SEARCHING = Absent(
    lambda behaviour, _: behaviour.searches_again,
    "the lock is dropped there",
)
ONE_HOLD = Absent(
    lambda behaviour, _: not behaviour.searches_again,
    "the lock is not dropped there",
)
TRIMMING = Absent(
    lambda behaviour, _: behaviour.trims_in_place,
    "the end of a state is moved",
)
SPLITTING = Absent(
    lambda behaviour, _: not behaviour.trims_in_place,
    "states are split and a half erased",
)
NO_DIO_LOCKED = Absent(
    lambda _, bits: "DIO_LOCKED" not in bits.names,
    "there is no DIO_LOCKED",
)


@dataclass(frozen=True)
class Fault:
    """A mistake that somebody could make in the model."""

    name: str
    what: str
    """What is wrong, in a few words."""
    module: str
    """Module of `reference.extent_state`."""
    old: str
    new: str
    survives: str = ""
    """Why no recorded bundle shows it; empty for the faults that are caught."""
    survives_on: Mapping[str, str] = field(default_factory=dict)
    """The same for the bundles of one kernel: name of its behaviour -> why."""
    absent: Absent | None = None
    """Kernels that do not have what is broken; None if all have it."""

    def why_absent(self, behaviour: Behaviour, bits: BitLayout) -> str:
        """Return why the fault changes nothing on such a kernel; empty if it does."""
        return self.absent.why if self.absent and self.absent.on(behaviour, bits) else ""

    def why_not_caught(self, behaviour: Behaviour) -> str:
        """Return why no bundle of such a kernel shows the fault; empty if one does."""
        return self.survives or self.survives_on.get(behaviour.name, "")
