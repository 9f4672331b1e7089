# SPDX-License-Identifier: GPL-2.0-or-later
"""Small records written by the model in the kernel's place: for what no recorded bundle holds. Simulated."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

from harness.readahead.excerpt import Device
from harness.readahead.record import Request
from harness.readahead.testing import SimulatedKernel, Wanted
from reference.readahead import MAX_KEY, MIN_KEY, Root
from reference.readahead.testing import NODESIZE, Blocks, key

__all__ = ["SCENES"]

_DEVICES = 4
_GROUPS = 6
_GROUP_BLOCKS = 32
_LEAVES = 80


def _scene(
    seed: int,
    copies: int | None,
    *,
    missing: int = 0,
    failing: int = 0,
    forgets: float = 0.0,
    switches: float = 0.0,
) -> SimulatedKernel:
    """Return a record of four readaheads of one tree; `copies` None: DUP."""
    rng = random.Random(seed)
    groups = [_copies(rng, copies) for _ in range(_GROUPS)]
    source = Blocks(groups, _GROUP_BLOCKS)
    places = rng.sample(range(_GROUPS * _GROUP_BLOCKS), _GROUPS * _GROUP_BLOCKS)
    root = source.grow(_LEAVES, 8, places, stale=places[_LEAVES : _LEAVES + 1])
    nodes = places[_LEAVES + 2 : _LEAVES + 2 + failing]
    devices = [Device(devid, missing=devid == missing) for devid in range(1, _DEVICES + 1)]
    wanted = [_wanted(rng, root, number) for number in range(4)]
    failed: Collection[int] = {place * NODESIZE for place in nodes}
    return SimulatedKernel(
        source,
        devices,
        wanted,
        seed,
        workers=1,
        ends=1,
        switches=switches,
        late=switches,
        failing=failed,
        forgets=forgets,
    ).run()


def _copies(rng: random.Random, copies: int | None) -> tuple[int, ...]:
    if copies is None:
        return (rng.randint(1, _DEVICES),) * 2
    return tuple(rng.sample(range(1, _DEVICES + 1), copies))


def _wanted(rng: random.Random, root: Root, number: int) -> Wanted:
    if number == 0:
        return Wanted(root, Request(2, MIN_KEY, MAX_KEY))
    # Keys at which leaves begin and end, so that who takes a bound for inside shows.
    first, last = key(rng.randrange(0, 300, 10)), key(rng.randrange(400, 800, 10))
    return Wanted(root, Request(2, first, last), waits=number % 2 == 1)


SCENES: dict[str, Callable[[], SimulatedKernel]] = {
    "one copy": lambda: _scene(1, 1),
    "two copies": lambda: _scene(2, 2),
    "three copies, blocks forgotten": lambda: _scene(3, 3, forgets=0.5),
    "DUP": lambda: _scene(4, None),
    "a device missing": lambda: _scene(5, 2, missing=2),
    "nodes that fail": lambda: _scene(6, 2, failing=4, forgets=0.5),
    "threads that meet": lambda: _scene(7, 2, forgets=0.5, switches=0.02),
}
"""Name -> the record."""
