# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a schedule that shows something simpler: fewest preemptions first, then fewest steps.

A schedule is taken as blocks, each the steps of one task in a row. Blocks are left out, joined with the next
block of the same task, and moved step by step. `replay` decides what is left open: whoever ran last goes on.
So a block that only said what happens anyway goes away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

from reference.machine.findings import Finding
from reference.machine.machine import Scenario
from reference.machine.run import Found, Schedule, replay

__all__ = ["shrink"]

Blocks = list[tuple[str, int]]


def shrink(scenario: Scenario, found: Found, same: Callable[[Finding], bool] | None = None) -> Found:
    """Return the cheapest schedule met that shows the `same` as `found`: by default, kind and message.

    No single change makes the result cheaper; that does not mean that nothing cheaper exists.
    """
    wanted = same or (lambda finding: str(finding) == str(found.finding))
    best = found
    progress = True
    while progress:
        progress = False
        for schedule in _simpler(best.schedule):
            other = replay(scenario, schedule)
            if other is not None and wanted(other.finding) and other.cost < best.cost:
                best, progress = other, True
                break
    return best


def _simpler(schedule: Schedule) -> Iterator[Schedule]:
    blocks: Blocks = [(name, len(list(steps))) for name, steps in groupby(schedule)]
    for candidate in _candidates(blocks):
        yield tuple(name for name, steps in candidate for _ in range(steps))


def _candidates(blocks: Blocks) -> Iterator[Blocks]:
    """Yield variants of `blocks`, the boldest first."""
    for index in range(len(blocks)):
        yield blocks[:index]
    for index in range(len(blocks)):
        yield blocks[:index] + blocks[index + 1 :]
    yield from _joined(blocks)
    yield from _moved(blocks)


def _joined(blocks: Blocks) -> Iterator[Blocks]:
    """Bring two blocks of one task together, at the place of the first or of the second."""
    for index, (name, steps) in enumerate(blocks):
        later = next((i for i in range(index + 1, len(blocks)) if blocks[i][0] == name), None)
        if later is None:
            continue
        both = [(name, steps + blocks[later][1])]
        yield blocks[:index] + both + blocks[index + 1 : later] + blocks[later + 1 :]
        yield blocks[:index] + blocks[index + 1 : later] + both + blocks[later + 1 :]


def _moved(blocks: Blocks) -> Iterator[Blocks]:
    """Leave out a step, exchange two blocks, or do a step later that is done just before a switch."""
    for index, (name, steps) in enumerate(blocks):
        yield [*blocks[:index], (name, steps - 1), *blocks[index + 1 :]]
        if index + 1 < len(blocks):
            yield [*blocks[:index], blocks[index + 1], (name, steps), *blocks[index + 2 :]]
            yield [*blocks[:index], (name, steps - 1), blocks[index + 1], (name, 1), *blocks[index + 2 :]]
