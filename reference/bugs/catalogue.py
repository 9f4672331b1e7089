# SPDX-License-Identifier: GPL-2.0-or-later
"""Hunts each defect by itself, in each version that has it, and the corrected versions too.

Nothing here knows how a defect shows. A reproducer counts if it shows something with the defect and nothing
without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reference.bugs import calls, operations, programs, scenes
from reference.bugs.reproducer import Catch, Random, RandomOf, Reproducer
from reference.bugs.version import STRUCTURES, Half, Structure, Version, corrected, half_of, having
from reference.extent_map import Defect

__all__ = ["WAYS", "Row", "clean", "hunt", "reproducer_of"]

Hunt = Callable[[Version, Version, Random], Catch | None]
"""Looks in the first version for what the second does not show."""

WAYS: Mapping[str, str] = {
    "calls": "random calls of the trees, by one task and in interrupts",
    "programs": "random programs of two tasks on a tree, under all schedules",
    "operations": "random operations on a file, with one thing that fails",
    "scenes": "system calls of two tasks on a file, under all schedules",
}
"""How reproducers are found."""

# Until one finds something: what takes longer comes later.
_HUNTS: Mapping[Half, tuple[Hunt, ...]] = {
    "trees": (
        lambda version, _, rng: calls.hunt(version, rng),
        lambda version, _, rng: programs.hunt(version, rng),
    ),
    "pages": (
        lambda version, without, rng: operations.hunt(version, rng, without, 200),
        lambda version, _, rng: scenes.hunt_at_random(version, rng),
        lambda version, without, rng: operations.hunt(version, rng, without, 2500),
        lambda version, _without, _rng: scenes.hunt_everywhere(version, preemptions=2),
        lambda version, without, rng: operations.hunt(version, rng, without, 8000),
        lambda version, _without, _rng: scenes.hunt_everywhere(version),
    ),
}
_MADE: Mapping[str, Callable[[dict[str, Any]], Reproducer]] = {
    "calls": calls.Calls.of,
    "programs": programs.ProgramRun.of,
    "operations": operations.Operations.of,
    "scenes": scenes.SceneRun.of,
}


@dataclass(frozen=True)
class Row:
    """A defect, and what shows it in each version that has it."""

    defect: Defect
    catches: Mapping[Structure, Catch | None]

    @property
    def caught(self) -> bool:
        """Whether it is caught in each version that has it."""
        return all(self.catches.values())

    @property
    def first(self) -> tuple[Structure, Catch] | None:
        """The version and the catch to show; None if there is none."""
        return next(((structure, catch) for structure, catch in self.catches.items() if catch), None)


def reproducer_of(way: str, data: dict[str, Any]) -> Reproducer:
    """Make a reproducer from its `way` and what its `data` returned."""
    return _MADE[way](data)


def hunt(defect: Defect, random_of: RandomOf) -> Row:
    """Hunt `defect` in each version that has it."""
    catches: dict[Structure, Catch | None] = {}
    for structure in STRUCTURES:
        if (defect.radix_line if structure == "radix" else defect.rbtree_line) is not None:
            catches[structure] = _hunt(defect, structure, catches, random_of)
    return Row(defect, catches)


def _hunt(
    defect: Defect, structure: Structure, others: Mapping[Structure, Catch | None], random_of: RandomOf
) -> Catch | None:
    without = corrected(structure, defect)
    for catch in _candidates(defect, structure, without, others, random_of):
        if catch is not None and catch.reproducer.replay(without) is None:
            return catch
    return None


def _candidates(
    defect: Defect,
    structure: Structure,
    without: Version,
    others: Mapping[Structure, Catch | None],
    random_of: RandomOf,
) -> Iterator[Catch | None]:
    version = having(structure, defect)
    for other in others.values():
        if other is not None:
            yield other.reproducer.adapted(version, other.shown.kind)
    for number, way in enumerate(_HUNTS[half_of(defect)]):
        yield way(version, without, random_of(f"{defect.name} {structure} {number}"))


def clean(structure: Structure, random_of: RandomOf) -> list[Catch]:
    """Return what the hunts find in the corrected version: nothing, if all is well."""
    version = corrected(structure)
    found = [
        calls.hunt(version, random_of(f"corrected {structure} calls"), 1000),
        programs.hunt(version, random_of(f"corrected {structure} programs"), 150),
        operations.hunt(version, random_of(f"corrected {structure} operations"), trials=400),
        scenes.hunt_at_random(version, random_of(f"corrected {structure} scenes")),
        scenes.hunt_everywhere(version, 300),
    ]
    return [catch for catch in found if catch is not None]
