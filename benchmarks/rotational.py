# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure how well a disk keeps time: `python -m benchmarks.rotational [--reads N]`. Needs root and FUSE.

Lists of requests are put to rotational loop devices, and to the same disk in virtual time: so many under way
at a time, the next as soon as one is done. One list is recorded: what btrfs asks of its disk when somebody
goes through a tree of small files. Both totals must agree within 5 %; what one request takes is shown beside.
"""

from __future__ import annotations

import mmap
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.common import arguments, in_turns, median_range, run, show_machine, workspace
from harness.errors import EXIT_FAIL, InfrastructureError, UserError
from loopdevs import (
    BtrfsLayout,
    RotationalDevice,
    RotationalLayout,
    Workspace,
    fuse_skip_reasons,
    shrunk,
)
from loopdevs.deadline import Deadline

__all__ = ["main"]

SIZE = 2 << 30
LAYOUT = RotationalLayout(SIZE, shrunk(SIZE))
TOLERANCE = 0.05
BLOCK = 16384
FILES = 1500
MOST_DISKS = 7
QUIET_S = 1.0
DEADLINE_S = 120.0

Requests = Sequence[tuple[int, int]]
"""Reads: byte and length."""


@dataclass(frozen=True)
class Workload:
    """A list of requests put to some disks, with so many of them under way on each."""

    name: str
    requests: Requests
    depth: int = 1
    disks: int = 1


def recorded(place: Workspace, reads: int) -> Requests:
    """Return the first reads that a btrfs makes when all names and small files in it are read."""
    disk = place.rotational_device(LAYOUT)
    with disk, place.btrfs(BtrfsLayout(size_bytes=SIZE), [disk.device]) as filesystem:
        with disk.at_once():
            filesystem.mount()
            choice = random.Random(1)
            names = [f"{choice.randrange(40)}/{choice.randbytes(90).hex()}" for _ in range(FILES)]
            for name in names:
                file = filesystem.mountpoint / name
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(choice.randbytes(choice.choice((1000, 30_000))))
            filesystem.umount()
        filesystem.mount()
        begin = len(disk.served())
        subprocess.run(["grep", "-rqF", "not there", filesystem.mountpoint], check=False, timeout=DEADLINE_S)
        found = [(s.byte, s.nbytes) for s in disk.served()[begin:] if not s.write]
    if len(found) < reads:
        raise InfrastructureError(f"only {len(found)} reads were recorded, {reads} are needed")
    return found[:reads]


def scattered(reads: int) -> Requests:
    """Return reads of blocks all over the disk."""
    choice = random.Random(2)
    return [(choice.randrange(SIZE // BLOCK) * BLOCK, BLOCK) for _ in range(reads)]


def in_order(reads: int) -> Requests:
    """Return reads of 128 KiB, one behind the other."""
    return [(n << 17, 1 << 17) for n in range(reads)]


def in_virtual_time(requests: Requests, depth: int) -> tuple[float, list[float]]:
    """Return how long the disk takes for all, s, and each from being asked to being done, ms."""
    disk = LAYOUT.make()
    left = iter(enumerate(requests))
    for tag, (byte, nbytes) in (next(left) for _ in range(depth)):
        disk.submit(0, byte, nbytes, tag)
    while disk.due() is not None:
        done = disk.complete()
        if following := next(left, None):
            tag, (byte, nbytes) = following
            disk.submit(done.ended_ns, byte, nbytes, tag)
    latencies = [(served.ended_ns - served.submitted_ns) / 1e6 for served in disk.trace]
    return disk.trace[-1].ended_ns / 1e9, latencies


def in_real_time(disks: Sequence[RotationalDevice], work: Workload, latencies: list[float]) -> float:
    """Return how long the disks take for all, their mean, s; add each request's time, ms."""
    used = disks[: work.disks]
    ended = [0.0] * len(used)

    def read(number: int, left: Iterator[tuple[int, int]], lock: threading.Lock) -> None:
        latencies.extend(_read(used[number], left, lock))
        ended[number] = time.monotonic()

    lists = [(number, iter(work.requests), threading.Lock()) for number in range(len(used))]
    threads = [threading.Thread(target=read, args=reader) for reader in lists for _ in range(work.depth)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    if any(thread.is_alive() for thread in threads):
        raise InfrastructureError(f"the disks are not done after {DEADLINE_S:g} s")
    return statistics.mean(ended) - begin


def _read(disk: RotationalDevice, left: Iterator[tuple[int, int]], lock: threading.Lock) -> list[float]:
    latencies: list[float] = []
    descriptor = os.open(disk.device, os.O_RDONLY | os.O_DIRECT)
    with mmap.mmap(-1, 1 << 20) as buffer, memoryview(buffer) as view:
        while True:
            with lock:
                request = next(left, None)
            if request is None:
                break
            begin = time.monotonic()
            with view[: request[1]] as part:
                os.preadv(descriptor, [part], request[0])
            latencies.append((time.monotonic() - begin) * 1e3)
    os.close(descriptor)
    return latencies


def wait_until_quiet(disk: RotationalDevice) -> None:
    """Wait until nobody looks at a new device any more, as udev and others do."""
    deadline = Deadline(DEADLINE_S)
    while deadline.remaining:
        before = len(disk.served())
        time.sleep(QUIET_S)
        if len(disk.served()) == before:
            return
    raise InfrastructureError(f"somebody keeps reading {disk.device}: end that")


def show(work: Workload, totals: Sequence[float], latencies: Sequence[float]) -> bool:
    """Print a workload's figures, and return whether it is within the tolerance."""
    virtual, expected = in_virtual_time(work.requests, work.depth)
    ratio = statistics.median(totals) / virtual
    within = abs(ratio - 1) <= TOLERANCE
    print(
        f"{work.name:44} {virtual:7.3f} {median_range(totals, '.3f'):>22} {ratio:6.3f} "
        f"{'' if within else 'NOT '}within {TOLERANCE:.0%}"
    )
    print(f"{'':8}a request, ms, 10/50/90/99 %:  virtual {_spread(expected)}  real {_spread(latencies)}")
    return within


def _spread(values: Sequence[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return "/".join(f"{cuts[percent - 1]:.1f}" for percent in (10, 50, 90, 99))


def main() -> None:
    """Measure, and print."""
    chosen = arguments(
        "how well a rotational loop device keeps the time of its disk",
        reads=(300, "requests in a list"),
        repetitions=(3, "repetitions"),
    )
    if reasons := fuse_skip_reasons():
        raise UserError(f"this benchmark makes rotational devices: {'; '.join(reasons)}")
    show_machine()
    deadline = time.monotonic() + chosen.deadline
    with workspace() as place:
        works = workloads(recorded(place, chosen.reads), chosen.reads)
        disks = [place.rotational_device(LAYOUT) for _ in range(MOST_DISKS)]
        for disk in disks:
            wait_until_quiet(disk)
        latencies: dict[str, list[float]] = {work.name: [] for work in works}
        ways: dict[str, Callable[[], float]] = {
            work.name: partial(in_real_time, disks, work, latencies[work.name]) for work in works
        }
        totals = in_turns(ways, chosen.repetitions, deadline)
    print(f"{'':44} {'virtual':>7} {'real, s':>22}  ratio")
    within = [show(work, totals[work.name], latencies[work.name]) for work in works]
    if not all(within):
        sys.exit(EXIT_FAIL)


def workloads(recorded: Requests, reads: int) -> list[Workload]:
    """Return what is measured."""
    return [
        Workload("recorded from btrfs, one at a time", recorded),
        Workload("recorded from btrfs, 8 at a time", recorded, 8),
        Workload("recorded from btrfs, on 4 disks at once", recorded, 1, 4),
        Workload("recorded from btrfs, on 7 disks at once", recorded, 1, 7),
        Workload("blocks all over, one at a time", scattered(reads)),
        Workload("blocks all over, 31 at a time", scattered(reads), 31),
        Workload("blocks all over, 4 disks with 8 each", scattered(reads), 8, 4),
        Workload("128 KiB after 128 KiB, one at a time", in_order(2 * reads)),
    ]


if __name__ == "__main__":
    run(main)
