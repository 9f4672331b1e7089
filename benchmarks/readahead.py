# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast readahead is simulated at full scale: `python -m benchmarks.readahead`. No root.

A synthetic tree is walked and read ahead on 7 disks. Virtual times are the same on every machine;
what computing took is CPU time of this process. What the simulation says of the published figures is told by
`iodiff bench readahead/extent-tree`.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

from benchmarks.common import arguments, run, show_machine
from harness.compiled import keep_compiled
from reference.disks import SATA_7200_2011
from reference.readahead import Behaviour
from reference.readahead.chunks import ChunkMap, Profile
from reference.readahead.synthetic import Forest, TreeShape

__all__ = ["main"]

DISKS = 7
NODESIZE = 16 << 10
FANOUT = 330
"""Two thirds of the 493 pointers that fit."""
STRIPES = DISKS << 16
CHUNKS = ChunkMap(Profile.RAID1, DISKS, NODESIZE, chunk_bytes=(256 << 20) // STRIPES * STRIPES)
"""Chunks as near to the usual 256 MiB of metadata as a multiple of all stripes gets."""


def main() -> None:
    """Simulate, and print a table."""
    options = arguments("Time the simulation of readahead.", leaves=(1_000_000, "leaves of the tree"))
    keep_compiled()
    show_machine()
    begin = time.process_time()
    _simulate(100)
    print(f"compiled, or loaded from the cache, in {time.process_time() - begin:.1f} s", flush=True)
    print("| SIMULATED | virtual s | computing, s | blocks/s |")
    for row in _simulate(options.leaves):
        print(row)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def _simulate(leaves: int) -> list[str]:
    """Return a row for each way to read a tree."""
    # Imported after `keep_compiled`, or nothing would be kept.
    from reference.readahead.scale.grow import grow
    from reference.readahead.scale.simulate import Setup, Simulated, simulate_readahead, simulate_walk

    setup = Setup(DISKS, SATA_7200_2011, NODESIZE)
    begin = time.process_time()
    forest = Forest([TreeShape(leaves, fanout=FANOUT, aged=0.5)], CHUNKS)
    trees = grow(forest.trees, CHUNKS)
    blocks, seconds = forest.trees[0].nodes, time.process_time() - begin
    rows = [f"| tree made | | {seconds:.1f} | {blocks / seconds:,.0f} |"]
    ways: dict[str, Callable[[], Simulated]] = {
        "walk": lambda: simulate_walk(trees, setup),
        "readahead, seed": lambda: simulate_readahead(trees, setup, Behaviour.seed_2011),
        "readahead, 5.10": lambda: simulate_readahead(trees, setup, Behaviour.linux_5_10),
    }
    for name, way in ways.items():
        begin = time.process_time()
        simulated = way()
        seconds = time.process_time() - begin
        rate = f"{simulated.blocks / seconds:,.0f}"
        rows.append(f"| {name} | {simulated.seconds:,.1f} | {seconds:.1f} | {rate} |")
    return rows


if __name__ == "__main__":
    run(main)
