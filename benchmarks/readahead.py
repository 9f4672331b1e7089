# SPDX-License-Identifier: GPL-2.0-or-later
"""Simulate the published figures of readahead at full scale: `python -m benchmarks.readahead`. No root.

The cover letter of the series (2011) says of 7 disks: extent tree, traditional 351 s, readahead 41 s; extent
and csum tree, readahead 49 s. It does not say how large the trees were. So for each row a tree is made whose
walk takes about 351 virtual seconds, and then read ahead. Virtual times are the same on every machine; what
computing took is CPU time of this process. `--leaves 10000000` reads ahead a tree of that size instead, and
says how much memory that took.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.common import arguments, run, show_machine
from harness.compiled import keep_compiled
from reference.disks import CONSTELLATION_2010, SATA_7200_2011, Policy, RotationalConstants
from reference.readahead import Behaviour
from reference.readahead.chunks import ChunkMap, Profile
from reference.readahead.synthetic import Forest, TreeShape

__all__ = ["main"]

WALK_S = 351
"""The published walk."""


@dataclass(frozen=True)
class Row:
    """What a tree is and what it lies on. The defaults are those of mkfs in 2011 and of the models."""

    profile: Profile = Profile.RAID1
    """mkfs's default for metadata on several devices."""
    disks: int = 7
    nodesize: int = 4 << 10
    """All that there was in 2011."""
    aged: float = 0.5
    """The share of leaves that were rewritten, in runs of four."""
    constants: RotationalConstants = SATA_7200_2011
    host: Policy = Policy.C_LOOK
    drive: Policy = Policy.SHORTEST
    depth: int = 31
    guess: int = 400_000
    """Leaves to begin with when looking for a tree whose walk takes as long as was published."""
    csum_share: float = 0.0
    """Leaves of a csum tree for each of the extent tree, which is not published either; 0: none is read."""


ROWS = {
    "base: raid1, 4 KiB, half rewritten": Row(csum_share=1),
    "a tenth rewritten": Row(aged=0.1, guess=820_000),
    "fresh tree": Row(aged=0, guess=1_480_000),
    "all rewritten": Row(aged=1, guess=250_000),
    "nodes of 16 KiB": Row(nodesize=16 << 10, guess=350_000),
    "single": Row(profile=Profile.SINGLE),
    "raid10, 6 disks": Row(profile=Profile.RAID10, disks=6, guess=300_000),
    "2 disks": Row(disks=2, guess=330_000),
    "4 disks": Row(disks=4, guess=360_000),
    "C-LOOK alone, depth 1": Row(drive=Policy.FIFO, depth=1),
    "FIFO, depth 1": Row(host=Policy.FIFO, drive=Policy.FIFO, depth=1),
    "disks do not read on": Row(constants=replace(SATA_7200_2011, read_ahead=0), guess=45_000),
    "4 MiB of reading on": Row(constants=replace(SATA_7200_2011, read_ahead=4 << 20)),
    "CONSTELLATION_2010": Row(constants=CONSTELLATION_2010),
    "csum tree a quarter": Row(csum_share=0.25),
}


def main() -> None:
    """Simulate, and print tables."""
    options = arguments(
        "Simulate the published figures of readahead at full scale.",
        leaves=(0, "leaves of a tree to read ahead instead of the published figures"),
    )
    keep_compiled()
    show_machine()
    if options.leaves:
        _large(options.leaves)
    else:
        _published(time.monotonic() + options.deadline)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def _published(deadline: float) -> None:
    print(f"SIMULATED on {SATA_7200_2011.name}. Published: walk 351 s, readahead 41 s, with csum tree 49 s.")
    print(
        "| what | blocks | walk, s | seed, s | ratio | 5.10, s | ratio | seed, with csum tree, s | blocks/s |"
    )
    begin = time.process_time()
    _compile()
    print(f"compiled, or loaded from the cache, in {time.process_time() - begin:.1f} s", flush=True)
    for name, row in ROWS.items():
        if time.monotonic() > deadline:
            print("deadline: the rest was left out")
            break
        print(f"| {name} | {' | '.join(_measured(row))} |", flush=True)
    print(f"computing, compilation included: {time.process_time() - begin:.1f} s")


def _compile() -> None:
    """Run once, small, what is compiled when it is first called."""
    # Imported after `keep_compiled`, or nothing would be kept.
    from reference.readahead.scale.grow import grow
    from reference.readahead.scale.simulate import Setup, simulate_readahead, simulate_walk

    chunks = _chunks(Row())
    trees = grow(Forest([_shape(Row(), 1)], chunks).trees, chunks)
    setup = Setup(Row().disks, Row().constants, Row().nodesize)
    simulate_walk(trees, setup)
    simulate_readahead(trees, setup, Behaviour.seed_2011)


def _shape(row: Row, leaves: int) -> TreeShape:
    # Two thirds of the 121 pointers that fit 4 KiB, or the 493 that fit 16 KiB.
    return TreeShape(leaves, fanout=81 if row.nodesize == 4 << 10 else 330, aged=row.aged)


def _chunks(row: Row) -> ChunkMap:
    # As near to the 256 MiB of metadata chunks as a multiple of all stripes gets.
    stripes = row.disks << 16
    return ChunkMap(row.profile, row.disks, row.nodesize, chunk_bytes=(256 << 20) // stripes * stripes)


def _measured(row: Row) -> list[str]:
    from reference.readahead.scale.grow import grow
    from reference.readahead.scale.simulate import Setup, simulate_readahead, simulate_walk
    from reference.readahead.scale.sizing import sized

    setup = Setup(row.disks, row.constants, row.nodesize, row.host, row.drive, row.depth)
    chunks = _chunks(row)
    shape = sized(_shape(row, row.guess), chunks, setup, WALK_S)
    csum = replace(shape, seed=2, leaves=max(1, round(shape.leaves * row.csum_share)))
    forest = Forest([shape, csum], chunks)
    alone = grow(forest.trees[:1], chunks)
    begin = time.process_time()
    walked = simulate_walk(alone, setup)
    cells, blocks = [f"{walked.blocks:,}", f"{walked.seconds:.1f}"], walked.blocks
    for behaviour in (Behaviour.seed_2011, Behaviour.linux_5_10):
        ahead = simulate_readahead(alone, setup, behaviour)
        blocks += ahead.blocks
        cells += [f"{ahead.seconds:.1f}", f"{walked.seconds / ahead.seconds:.1f}"]
    rate = f"{blocks / (time.process_time() - begin):,.0f}"
    if not row.csum_share:
        return [*cells, "", rate]
    both = simulate_readahead(grow(forest.trees, chunks), setup, Behaviour.seed_2011, [0, 1])
    return [*cells, f"{both.seconds:.1f}", rate]


def _large(leaves: int) -> None:
    from reference.readahead.scale.grow import grow
    from reference.readahead.scale.simulate import Setup, Simulated, simulate_readahead, simulate_walk

    _compile()
    row = Row(nodesize=16 << 10)
    chunks, setup = _chunks(row), Setup(row.disks, row.constants, row.nodesize)
    forest = Forest([_shape(row, leaves)], chunks)
    begin = time.process_time()
    trees = grow(forest.trees, chunks)
    print(f"tree of {forest.trees[0].nodes:,} blocks made in {time.process_time() - begin:.1f} s of CPU time")
    ways: dict[str, Callable[[], Simulated]] = {
        "walk": lambda: simulate_walk(trees, setup),
        "readahead, seed": lambda: simulate_readahead(trees, setup, Behaviour.seed_2011),
        "readahead, 5.10": lambda: simulate_readahead(trees, setup, Behaviour.linux_5_10),
    }
    print("| SIMULATED | virtual s | computing, s | blocks/s |")
    for name, way in ways.items():
        begin = time.process_time()
        simulated = way()
        seconds = time.process_time() - begin
        print(f"| {name} | {simulated.seconds:,.1f} | {seconds:.1f} | {simulated.blocks / seconds:,.0f} |")


if __name__ == "__main__":
    run(main)
