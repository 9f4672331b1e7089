# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of two tasks on one tree, under schedules: what only the interleaving shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from reference.bugs.calls import call_of
from reference.bugs.reproducer import Catch, Random, Shown, shown
from reference.bugs.schedules import in_brief, rendered
from reference.bugs.version import Version
from reference.extent_map.programs import Program, faults, hunt_programs, scenario
from reference.machine import Schedule, explore, replay

__all__ = ["ProgramRun", "hunt"]

PROGRAMS = 4000


@dataclass(frozen=True)
class ProgramRun:
    """A program, and in which order its tasks take their steps."""

    program: Program
    schedule: Schedule
    way: Final = "programs"

    def replay(self, version: Version) -> Shown | None:
        """Execute it on `version` and return what that shows, or None."""
        found = replay(scenario(version.trees, self.program), self.schedule)
        return shown(found.finding) if found else None

    def adapted(self, version: Version, kind: str) -> Catch | None:
        """Return the cheapest schedule on another version that shows a finding of this kind, or None."""
        found = faults(explore(scenario(version.trees, self.program), max_states=20_000))
        alike = [other for other in found if other.finding.kind == kind]
        if not alike:
            return None
        best = min(alike, key=lambda other: other.cost)
        return Catch(ProgramRun(self.program, best.schedule), shown(best.finding))

    def lines(self, version: Version) -> list[str]:
        """Return the calls of each task, and the schedule in brief."""
        run = scenario(version.trees, self.program)
        found = replay(run, self.schedule)
        return [*self._told(), *(in_brief(run, found) if found else [])]

    def trace(self, version: Version) -> list[str]:
        """Return the calls of each task, and the schedule in columns."""
        run = scenario(version.trees, self.program)
        found = replay(run, self.schedule)
        return [*self._told(), *(rendered(run, found) if found else ["nothing is found"])]

    def _told(self) -> list[str]:
        tasks = zip("ABC", self.program, strict=False)
        return [f"{name} does: {', '.join(map(str, calls))}" for name, calls in tasks]

    def data(self) -> dict[str, Any]:
        """Return it as plain values."""
        program = [[call._asdict() for call in calls] for calls in self.program]
        return {"program": program, "schedule": list(self.schedule)}

    @classmethod
    def of(cls, data: dict[str, Any]) -> ProgramRun:
        """Make it from what `data` returned."""
        program = tuple(tuple(call_of(call) for call in calls) for calls in data["program"])
        return cls(program, tuple(data["schedule"]))


def hunt(version: Version, rng: Random, programs: int = PROGRAMS) -> Catch | None:
    """Try random programs under random schedules; return the first that shows something, shrunk."""
    race = hunt_programs(version.trees, rng, programs)
    if race is None:
        return None
    return Catch(ProgramRun(race.program, race.found.schedule), shown(race.found.finding))
