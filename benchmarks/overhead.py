# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure what recording costs the workload: `python -m benchmarks.overhead [--mib N]`. Needs root.

One fio job, direct and buffered, runs on a btrfs with no capture, with BPF and with tracefs, in turns. A
ratio is the time with a capture over the time without one in the same round.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from benchmarks.common import arguments, in_turns, median_range, run, show_machine, workspace
from harness.capture import Capture
from harness.capture.extent_io import BpfCapture
from harness.capture.tracefs import TracefsCapture
from harness.errors import InfrastructureError
from harness.fio import FioJob, run_fio
from harness.fiojob import Options
from loopdevs import BtrfsFilesystem, BtrfsLayout, Workspace

__all__ = ["main"]

MULTIPLE = {"direct": 1, "buffered": 8}
"""Kinds of I/O, and how much more is written so that all take about the same time."""
WITHOUT = "none"
JOB_DEADLINE_S = 60.0


def job(kind: str, mib: int) -> FioJob:
    """Return random writes of 4 KiB to one new file."""
    options: Options = {
        "rw": "randwrite",
        "bs": "4k",
        "size": f"{mib * MULTIPLE[kind]}m",
        "ioengine": "psync",
        "randseed": 1,
        "direct": int(kind == "direct"),
        "end_fsync": 1,
    }
    return FioJob(kind, {"writer": options})


def captures(place: Workspace, filesystem: BtrfsFilesystem) -> dict[str, Callable[[], Capture] | None]:
    """Return the ways to record, by name; None is not to record."""
    scratch = place.path("events.raw")
    return {
        WITHOUT: None,
        "bpf": lambda: BpfCapture(filesystem.fsid, scratch),
        "tracefs": lambda: TracefsCapture(filesystem.fsid, place.tracing(), scratch),
    }


def seconds(
    place: Workspace, filesystem: BtrfsFilesystem, job: FioJob, start: Callable[[], Capture] | None
) -> float:
    """Run `job` once and return how long fio says that it took, s."""
    capture = start() if start else None
    try:
        filesystem.mount()
        folder = place.path("fio")
        folder.mkdir(exist_ok=True)
        output = folder / "report.json"
        result = run_fio(
            job, filesystem.mountpoint, output, timeout_s=JOB_DEADLINE_S, on_start=place.process_group
        )
        for file in filesystem.mountpoint.iterdir():
            file.unlink()
        filesystem.umount()
        _check_nothing_lost(capture)
    finally:
        if capture is not None:
            capture.close()
    return result.jobs[0].write.runtime_ms / 1000


def _check_nothing_lost(capture: Capture | None) -> None:
    lost = capture.stop().lost if capture is not None else {}
    if any(lost.values()):
        raise InfrastructureError(f"events were lost, so the cost is not that of recording: {lost}")


def main() -> None:
    """Print seconds and ratios for each kind of I/O and each capture."""
    options = arguments(
        "What recording costs a fio job, direct and buffered.",
        mib=(16, "MiB written directly; buffered, eight times as much"),
        repetitions=(5, "repetitions of each way"),
    )
    deadline = time.monotonic() + options.deadline
    show_machine()
    with workspace() as place, place.btrfs(BtrfsLayout(size_bytes=4 << 30)) as filesystem:
        starts = captures(place, filesystem)
        ways = {
            f"{kind} {name}": partial(seconds, place, filesystem, job(kind, options.mib), start)
            for kind in MULTIPLE
            for name, start in starts.items()
        }
        for way in ways.values():
            way()  # the first run of each finds cold caches
        measured = in_turns(ways, options.repetitions, deadline)
    print(
        f"{options.mib} MiB, buffered eight times that, {len(measured['direct none'])} rounds, median (range)"
    )
    print(f"{'I/O':<9} {'capture':<8} {'seconds':<18} time with / without")
    for kind in MULTIPLE:
        base = measured[f"{kind} {WITHOUT}"]
        for name in starts:
            taken = measured[f"{kind} {name}"]
            ratios = [a / b for a, b in zip(taken, base, strict=True)]
            print(f"{kind:<9} {name:<8} {median_range(taken):<18} {median_range(ratios)}")


if __name__ == "__main__":
    run(main)
