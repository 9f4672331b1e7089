# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a schedule that shows something simpler: fewest preemptions first, then fewest steps.

A schedule is taken as blocks, each the steps of one task in a row. Blocks are joined with the next block of
the same task, exchanged with their neighbour, left out and made shorter. `replay` decides what is left open:
whoever ran last goes on. So a block that only said what happens anyway goes away.

That can end where no single change helps. So all schedules with fewer preemptions are looked through too, as
far as few states allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

from reference.machine.explore import explore
from reference.machine.findings import Finding
from reference.machine.machine import Scenario
from reference.machine.run import Found, Schedule, replay

__all__ = ["shrink"]

Blocks = list[tuple[str, int]]
Same = Callable[[Finding], bool]
_PATIENCE = 100
"""How many times the steps of the first schedule a changed one may take."""


def shrink(scenario: Scenario, found: Found, same: Same | None = None, *, max_states: int = 1000) -> Found:
    """Return the cheapest schedule met that shows the `same` as `found`: by default, kind and message.

    No single change makes it cheaper. No schedule has fewer preemptions, if those with fewer come to at most
    `max_states` states.
    """
    wanted = same or (lambda finding: str(finding) == str(found.finding))
    best = _change(scenario, found, wanted)
    for bound in range(best.preemptions):
        result = explore(scenario, preemptions=bound, max_states=max_states)
        cheaper = [other for other in result.found if wanted(other.finding)]
        if cheaper:
            return _change(scenario, min(cheaper, key=lambda other: other.cost), wanted)
    return best


def _change(scenario: Scenario, found: Found, wanted: Same) -> Found:
    """Change the schedule of `found` as long as that makes it cheaper."""
    best, progress = found, True
    while progress:
        progress = False
        for schedule in _simpler(best.schedule):
            other = replay(scenario, schedule, max_steps=_PATIENCE * (1 + len(found.schedule)))
            if other is not None and wanted(other.finding) and other.cost < best.cost:
                best, progress = other, True
                break
    return best


def _simpler(schedule: Schedule) -> Iterator[Schedule]:
    blocks: Blocks = [(name, len(list(steps))) for name, steps in groupby(schedule)]
    for candidate in _candidates(blocks):
        yield tuple(name for name, steps in candidate for _ in range(steps))


def _candidates(blocks: Blocks) -> Iterator[Blocks]:
    """Yield variants of `blocks`, those first that save a preemption."""
    yield from _joined(blocks)
    for index in range(len(blocks) - 1):
        yield [*blocks[:index], blocks[index + 1], blocks[index], *blocks[index + 2 :]]
    for index in range(len(blocks)):
        yield blocks[:index] + blocks[index + 1 :]
    for index, (name, steps) in enumerate(blocks):
        yield [*blocks[:index], (name, steps - 1), *blocks[index + 1 :]]


def _joined(blocks: Blocks) -> Iterator[Blocks]:
    """Bring two blocks of one task together, at the place of the first or of the second."""
    for index, (name, steps) in enumerate(blocks):
        later = next((i for i in range(index + 1, len(blocks)) if blocks[i][0] == name), None)
        if later is None:
            continue
        both = [(name, steps + blocks[later][1])]
        between, behind = blocks[index + 1 : later], blocks[later + 1 :]
        yield blocks[:index] + both + between + behind
        yield blocks[:index] + between + both + behind
