# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees as large as a figure that was published for a walk, when nobody published the tree."""

from __future__ import annotations

from dataclasses import replace

from reference.readahead.chunks import ChunkMap
from reference.readahead.scale.grow import grow
from reference.readahead.scale.simulate import Setup, simulate_walk
from reference.readahead.synthetic import SyntheticTree, TreeShape

__all__ = ["sized"]

TRIES = 6
CLOSE = 0.01
"""A share of the time that is close enough not to try again."""
ACCEPTED = 0.1


def sized(shape: TreeShape, chunks: ChunkMap, setup: Setup, seconds: float) -> TreeShape:
    """Return `shape` with as many leaves as make a walk take about `seconds`.

    It begins with the leaves that `shape` has, and returns the best of a few tries: how long a walk takes
    need not grow steadily with the leaves, for each disk's platters may come to suit its steps more or less.
    ValueError if the best is a tenth off or more.
    """
    tried: dict[int, float] = {}
    for _ in range(TRIES):
        walked = simulate_walk(grow([SyntheticTree(shape, chunks)], chunks), setup).seconds
        tried[shape.leaves] = abs(walked - seconds) / seconds
        if tried[shape.leaves] <= CLOSE:
            break
        shape = replace(shape, leaves=max(1, round(shape.leaves * seconds / walked)))
    leaves = min(tried, key=lambda number: tried[number])
    if tried[leaves] >= ACCEPTED:
        raise ValueError(f"no tree found over which a walk takes {seconds} s; {leaves} leaves come nearest")
    return replace(shape, leaves=leaves)
