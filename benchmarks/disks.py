# SPDX-License-Identifier: GPL-2.0-or-later
"""Simulate a walk and a readahead on disks of 2011: `python -m benchmarks.disks [--leaves N]`. No root.

Times in the table are virtual, and the same on every machine. Each row is a way in which blocks are spread
over disks, a share of leaves that was rewritten, and an order in which host and disk serve requests, or
another disk or processor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product

from benchmarks.common import arguments, run, show_machine
from reference.disks import (
    CONSTELLATION_2010,
    SATA_7200_2011,
    SATA_SSD_2011,
    Disk,
    Policy,
    RotationalDisk,
    SolidStateDisk,
)
from reference.disks.trace import busy_ns
from reference.readahead import Behaviour
from reference.readahead.chunks import ChunkMap, Profile
from reference.readahead.synthetic import SyntheticTree, TreeShape
from reference.readahead.timed import CPU_NS_PER_BLOCK, Outcome, TimedReadahead, TimedWalks

__all__ = ["main"]

SPREAD = ((Profile.RAID1, 7), (Profile.SINGLE, 7), (Profile.RAID10, 6))
AGED = (0.5, 0.0)
SCHEDULING = {
    "c-look, shortest, 31": (Policy.C_LOOK, Policy.SHORTEST, 31),
    "c-look, fifo, 1": (Policy.C_LOOK, Policy.FIFO, 1),
    "fifo, fifo, 1": (Policy.FIFO, Policy.FIFO, 1),
}
"""Order of the host, order of the disk, depth of its queue."""
VARIANTS = {
    "disks do not read on": (replace(SATA_7200_2011, read_ahead=0), CPU_NS_PER_BLOCK),
    "4 MiB of reading on": (replace(SATA_7200_2011, read_ahead=4 << 20), CPU_NS_PER_BLOCK),
    "overhead 0.05 ms": (replace(SATA_7200_2011, overhead_ns=50_000), CPU_NS_PER_BLOCK),
    "no processor time": (SATA_7200_2011, 0),
    "50 us of processor a block": (SATA_7200_2011, 50_000),
    CONSTELLATION_2010.name: (CONSTELLATION_2010, CPU_NS_PER_BLOCK),
}
"""Disks, and what a block costs a processor: what the first row is compared with."""
CHUNK_BYTES = 21 << 20
"""A twelfth of what metadata chunks have, so that a small tree has many, and each disk its share."""

MakeDisk = Callable[[], Disk]


def main() -> None:
    """Simulate, and print a table."""
    options = arguments(
        "Simulate a walk and a readahead on disks of 2011.", leaves=(10_000, "leaves of the tree, of 16 KiB")
    )
    deadline = time.monotonic() + options.deadline
    show_machine()
    print(f"SIMULATED on {SATA_7200_2011.name}; ssd: {SATA_SSD_2011.name}.")
    print("| what | blocks on | aged | walk, s | seed, s | ratio | busy | 5.10, s | ratio | busy |")
    for what, make_disk, cpu_ns, profile, count, aged in _rows():
        if time.monotonic() > deadline:
            print("deadline: the rest was left out")
            return
        chunks = ChunkMap(profile, count, chunk_bytes=CHUNK_BYTES)
        tree = SyntheticTree(TreeShape(options.leaves, aged=aged), chunks)
        cells = [what, f"{count} disks, {profile.value}", f"{aged:.0%}", *_measured(tree, make_disk, cpu_ns)]
        print(f"| {' | '.join(cells)} |", flush=True)


def _rows() -> Iterator[tuple[str, MakeDisk, int, Profile, int, float]]:
    ways: dict[str, MakeDisk] = {
        name: partial(RotationalDisk, SATA_7200_2011, *way) for name, way in SCHEDULING.items()
    }
    ways["ssd"] = partial(SolidStateDisk, SATA_SSD_2011)
    for what, make_disk in ways.items():
        for (profile, count), aged in product(SPREAD, AGED):
            yield what, make_disk, CPU_NS_PER_BLOCK, profile, count, aged
    for what, (constants, cpu_ns) in VARIANTS.items():
        yield what, partial(RotationalDisk, constants), cpu_ns, *SPREAD[0], AGED[0]


def _measured(tree: SyntheticTree, make_disk: MakeDisk, cpu_ns: int) -> list[str]:
    def disks() -> dict[int, Disk]:
        return {devid: make_disk() for devid in range(1, tree.chunks.devices + 1)}

    walks = TimedWalks(tree, disks(), cpu_ns)
    walks.add(tree.root)
    walked = walks.run().seconds
    cells = [f"{walked:.2f}"]
    for behaviour in (Behaviour.seed_2011, Behaviour.linux_5_10):
        readahead = TimedReadahead(tree, disks(), behaviour, cpu_ns)
        readahead.add(tree.root)
        outcome = readahead.run()
        cells += [f"{outcome.seconds:.2f}", f"{walked / outcome.seconds:.1f}", f"{_busy(outcome):.0%}"]
    return cells


def _busy(outcome: Outcome) -> float:
    """Return for which share of the time a disk had something to do, the mean of all."""
    shares = [busy_ns(trace) / 1e9 / outcome.seconds for trace in outcome.traces.values()]
    return sum(shares) / len(shares)


if __name__ == "__main__":
    run(main)
