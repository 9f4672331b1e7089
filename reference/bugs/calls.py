# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of the trees by one task and in interrupts, one after the other, held against the naive models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from reference.bugs.reproducer import Catch, Random, Shown, shown
from reference.bugs.version import Version
from reference.extent_map.calls import Call, Trial
from reference.extent_map.hunt import hunt_calls
from reference.machine import Finding

__all__ = ["Calls", "hunt"]

RUNS = 1500


@dataclass(frozen=True)
class Calls:
    """Calls on an empty tree."""

    calls: tuple[Call, ...]
    way: Final = "calls"

    def replay(self, version: Version) -> Shown | None:
        """Execute it on `version` and return what that shows, or None."""
        trial = Trial(version.trees)
        try:
            for call in self.calls:
                trial.do(call)
        except (Finding, AssertionError) as error:
            return shown(error)
        return None

    def adapted(self, version: Version, kind: str) -> Catch | None:
        """Return what shows a finding of this kind on another version, by the same calls; or None."""
        found = self.replay(version)
        return Catch(self, found) if found is not None and found.kind == kind else None

    def lines(self, _version: Version) -> list[str]:
        """Return the calls."""
        return [str(call) for call in self.calls]

    def trace(self, version: Version) -> list[str]:
        """Return the calls, and what is in the trees after each of them."""
        trial, lines = Trial(version.trees), list[str]()
        for call in self.calls:
            lines.append(str(call))
            try:
                trial.do(call)
            except (Finding, AssertionError) as error:
                return [*lines, f"    *** {shown(error)}"]
            lines.append(f"    {_content(trial)}")
        return lines

    def data(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"calls": [call._asdict() for call in self.calls]}

    @classmethod
    def of(cls, data: dict[str, Any]) -> Calls:
        """Make it from what `data` returned."""
        return cls(tuple(call_of(call) for call in data["calls"]))


def call_of(data: dict[str, Any]) -> Call:
    """Make a call from its fields."""
    return Call(**{**data, "failing": tuple(data["failing"])})


def _content(trial: Trial) -> str:
    entries = [*trial.tree.states, *trial.tree.maps]
    return ", ".join(map(repr, entries)) or "the trees are empty"


def hunt(version: Version, rng: Random, runs: int = RUNS) -> Catch | None:
    """Try random calls; return the first that show something, shrunk."""
    caught = hunt_calls(version.trees, rng, runs)
    if caught is None:
        return None
    calls = Calls(caught.calls)
    found = calls.replay(version)
    assert found is not None, "calls show something only once"
    return Catch(calls, found)
