# SPDX-License-Identifier: GPL-2.0-or-later
"""What shows a defect: something small that can be executed on any version, told, and written down."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from reference.bugs.version import Version
from reference.extent_map import InvariantError
from reference.machine import DataCorruption, Finding

__all__ = ["Catch", "Random", "RandomOf", "Reproducer", "Shown", "shown"]


class Random(Protocol):
    """The part of random.Random that is used: models have no randomness of their own."""

    def random(self) -> float:
        """Return a number x, 0 <= x < 1."""

    def randrange(self, stop: int, /) -> int:
        """Return a number from 0 to `stop` - 1."""


RandomOf = Callable[[str], Random]
"""Makes the random numbers that belong to a name, the same ones each time."""


class Shown(NamedTuple):
    """What a check said."""

    kind: str
    """The class of the finding, by which findings are told apart when they are shrunk."""
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"

    @property
    def check(self) -> str:
        """The check that found it."""
        invariant = re.match(r"(?:after remount: )?invariant (\d+)", self.message)
        if invariant:
            return f"validate(), invariant {invariant[1]}"
        if self.kind in ("AssertionError", DataCorruption.__name__):
            return "naive model"
        return f"machine, {self.kind}"


def shown(error: Finding | AssertionError) -> Shown:
    """Return what an error of a check says."""
    if isinstance(error, Finding):
        return Shown(error.kind, error.message)
    kind = InvariantError if isinstance(error, InvariantError) else AssertionError
    return Shown(kind.__name__, str(error))


class Reproducer(Protocol):
    """Calls, or tasks and a schedule."""

    @property
    def way(self) -> str:
        """The hunt that finds such."""

    def replay(self, version: Version) -> Shown | None:
        """Execute it on `version` and return what that shows, or None."""

    def adapted(self, version: Version, kind: str) -> Catch | None:
        """Return what shows a finding of this kind on another version, by the same calls; or None."""

    def lines(self, version: Version) -> list[str]:
        """Return it in a few lines: calls, or tasks and their schedule on `version`."""

    def trace(self, version: Version) -> list[str]:
        """Execute it on `version` and return step by step what happens."""

    def data(self) -> dict[str, Any]:
        """Return it as plain values, from which it can be made again."""


class Catch(NamedTuple):
    """A reproducer, and what it shows."""

    reproducer: Reproducer
    shown: Shown
