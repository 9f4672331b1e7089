# SPDX-License-Identifier: GPL-2.0-or-later
"""Simulate a walk and a readahead on disks of 2011: `python -m benchmarks.disks [--leaves N]`. No root.

Times in the table are virtual, and the same on every machine. Each row is a way in which blocks are spread
over disks, a share of leaves that was rewritten, and an order in which host and disk serve requests.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from benchmarks.common import arguments, run, show_machine
from reference.disks import SATA_7200_2011, SATA_SSD_2011, Disk, Policy, RotationalDisk, SolidStateDisk
from reference.disks.trace import busy_ns
from reference.readahead import Behaviour
from reference.readahead.chunks import ChunkMap, Profile
from reference.readahead.synthetic import SyntheticTree, TreeShape
from reference.readahead.timed import Outcome, TimedReadahead, TimedWalks

__all__ = ["main"]

SPREAD = ((Profile.RAID1, 7), (Profile.SINGLE, 7), (Profile.RAID10, 6))
AGED = (0.5, 0.0)
SCHEDULING = {
    "c-look, shortest, 31": (Policy.C_LOOK, Policy.SHORTEST, 31),
    "c-look, fifo, 1": (Policy.C_LOOK, Policy.FIFO, 1),
    "fifo, fifo, 1": (Policy.FIFO, Policy.FIFO, 1),
}
"""Order of the host, order of the disk, depth of its queue."""
CHUNK_BYTES = 21 << 20
"""A twelfth of what metadata chunks have, so that a small tree has many, and each disk its share."""


def main() -> None:
    """Simulate, and print a table."""
    options = arguments(
        "Simulate a walk and a readahead on disks of 2011.", leaves=(10_000, "leaves of the tree, of 16 KiB")
    )
    deadline = time.monotonic() + options.deadline
    show_machine()
    print(f"SIMULATED on {SATA_7200_2011.name}; ssd: {SATA_SSD_2011.name}.")
    print("| blocks on | aged | order | walk, s | seed, s | ratio | busy | 5.10, s | ratio | busy |")
    for scheduling in (*SCHEDULING, "ssd"):
        for profile, count in SPREAD:
            for aged in AGED:
                if time.monotonic() > deadline:
                    print("deadline: the rest was left out")
                    return
                print(_row(profile, count, aged, scheduling, options.leaves), flush=True)


def _row(profile: Profile, count: int, aged: float, scheduling: str, leaves: int) -> str:
    chunks = ChunkMap(profile, count, chunk_bytes=CHUNK_BYTES)
    tree = SyntheticTree(TreeShape(leaves, aged=aged), chunks)
    walks = TimedWalks(tree, _disks(count, scheduling))
    walks.add(tree.root)
    walked = walks.run().seconds
    cells = [f"{count} disks, {profile.value}", f"{aged:.0%}", scheduling, f"{walked:.2f}"]
    for behaviour in (Behaviour.seed_2011, Behaviour.linux_5_10):
        readahead = TimedReadahead(tree, _disks(count, scheduling), behaviour)
        readahead.add(tree.root)
        outcome = readahead.run()
        cells += [f"{outcome.seconds:.2f}", f"{walked / outcome.seconds:.1f}", f"{_busy(outcome):.0%}"]
    return f"| {' | '.join(cells)} |"


def _disks(count: int, scheduling: str) -> Mapping[int, Disk]:
    if scheduling == "ssd":
        return {devid: SolidStateDisk(SATA_SSD_2011) for devid in range(1, count + 1)}
    return {devid: RotationalDisk(SATA_7200_2011, *SCHEDULING[scheduling]) for devid in range(1, count + 1)}


def _busy(outcome: Outcome) -> float:
    """Return for which share of the time a disk had something to do, the mean of all."""
    shares = [busy_ns(trace) / 1e9 / outcome.seconds for trace in outcome.traces.values()]
    return sum(shares) / len(shares)


if __name__ == "__main__":
    run(main)
