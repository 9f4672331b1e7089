# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls of several tasks on one file, under schedules that the explorer finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from reference.bugs.reproducer import Catch, Random, Shown, shown
from reference.bugs.schedules import in_brief, rendered
from reference.bugs.version import Version
from reference.extent_map.page_scenes import DIRECT_SCENES, SCENES, DirectScene, Scene
from reference.machine import (
    Exploration,
    Finding,
    Found,
    Scenario,
    Schedule,
    explore,
    random_runs,
    replay,
    shrink,
)

__all__ = ["SceneRun", "hunt_at_random", "hunt_everywhere"]

RUNS = 30
"""Random schedules of each scene."""
STATES = 6000
"""States of each scene that are looked at."""

_SCENES: dict[str, Scene | DirectScene] = {scene.name: scene for scene in (*DIRECT_SCENES, *SCENES)}


@dataclass(frozen=True)
class SceneRun:
    """A scene, and in which order its tasks and interrupts take their steps."""

    name: str
    schedule: Schedule
    way: Final = "scenes"

    @property
    def scene(self) -> Scene | DirectScene:
        """The scene of this name."""
        return _SCENES[self.name]

    def replay(self, version: Version) -> Shown | None:
        """Execute it on `version` and return what that shows, or None."""
        found = replay(_scenario(self.scene, version), self.schedule)
        return shown(found.finding) if found else None

    def adapted(self, version: Version, kind: str) -> Catch | None:
        """Return the cheapest schedule on another version that shows a finding of this kind, or None."""
        with suppress(Finding):
            result = explore(_scenario(self.scene, version), max_states=STATES)
            return _cheapest(self.scene, version, result, kind)
        return None

    def lines(self, version: Version) -> list[str]:
        """Return what each task calls, and the schedule in brief."""
        run = _scenario(self.scene, version)
        found = replay(run, self.schedule)
        return [*_told(self.scene), *(in_brief(run, found) if found else [])]

    def trace(self, version: Version) -> list[str]:
        """Return what each task calls, and the schedule in columns."""
        run = _scenario(self.scene, version)
        found = replay(run, self.schedule)
        return [*_told(self.scene), *(rendered(run, found) if found else ["nothing is found"])]

    def data(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"scene": self.name, "schedule": list(self.schedule)}

    @classmethod
    def of(cls, data: dict[str, Any]) -> SceneRun:
        """Make it from what `data` returned."""
        return cls(data["scene"], tuple(data["schedule"]))


def hunt_at_random(version: Version, rng: Random, runs: int = RUNS) -> Catch | None:
    """Run each scene under random schedules; return the first finding, shrunk."""
    return _first(version, lambda scenario: random_runs(scenario, rng, runs))


def hunt_everywhere(
    version: Version, max_states: int = STATES, preemptions: int | None = None
) -> Catch | None:
    """Explore each scene, with `preemptions` only so many of those; return the first finding, shrunk."""
    return _first(version, lambda scenario: explore(scenario, max_states=max_states, preemptions=preemptions))


def _first(version: Version, look: Callable[[Scenario], Exploration]) -> Catch | None:
    for scene in _SCENES.values():
        # What shows before the tasks begin is for one task alone to find.
        with suppress(Finding):
            if caught := _cheapest(scene, version, look(_scenario(scene, version))):
                return caught
    return None


def _cheapest(
    scene: Scene | DirectScene, version: Version, result: Exploration, kind: str = ""
) -> Catch | None:
    """Return the cheapest schedule found, shrunk; with `kind`, of those that show such a finding."""
    found = [other for other in result.found if kind in ("", other.finding.kind)]
    if not found:
        return None
    best = shrink(_scenario(scene, version), min(found, key=_cost))
    return Catch(SceneRun(scene.name, best.schedule), shown(best.finding))


def _cost(found: Found) -> tuple[int, int]:
    return found.cost


def _scenario(scene: Scene | DirectScene, version: Version) -> Scenario:
    return scene.scenario(version.trees, version.pages)


def _told(scene: Scene | DirectScene) -> Iterator[str]:
    yield f"scene: {scene.name}"
    if isinstance(scene, Scene):
        if scene.before:
            yield f"before: {', '.join(map(str, scene.before))}"
        for name, operations in zip("ABC", scene.tasks, strict=False):
            yield f"{name} does: {', '.join(map(str, operations))}"
