# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads against buffered ones: how fast they are, and what CPU time they cost.

fio reads files of which nothing is in memory, each of them both ways, in turns: A B C, then C B A. Nothing
is recorded meanwhile, as that costs time too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.capture.choice import MEASURED
from harness.cases import Case, Experiment
from harness.errors import InfrastructureError
from harness.fileops import set_nodatacow
from harness.fio import FioJob
from harness.fiojob import Options
from harness.measured import Measurement, kernel_threads_ns
from harness.record.experiment import LiveExperiment
from loopdevs import BtrfsLayout

__all__ = ["BUFFERED", "CASES", "DIRECT", "ROUNDS", "WORKLOADS"]

MIB = 1 << 20
FILE_MIB = 512
ROUNDS = 7
"""That count; there is one before to warm up."""
DIRECT, BUFFERED = "direct", "buffered"


@dataclass(frozen=True)
class _Workload:
    """What fio reads."""

    what: str
    file: str
    options: Options


def _random(block: str, total: str, **more: str | int) -> Options:
    return {"rw": "randread", "bs": block, "io_size": total, "norandommap": None, **more}


_SEQUENTIAL: Options = {"rw": "read", "bs": "1m", "io_size": f"{FILE_MIB}m"}
WORKLOADS = (
    _Workload("plain, 1 MiB in order", "plain", _SEQUENTIAL),
    _Workload("no checksums, 1 MiB in order", "nodatasum", _SEQUENTIAL),
    _Workload("zlib, 1 MiB in order", "zlib", _SEQUENTIAL),
    _Workload("plain, 64 KiB random", "plain", _random("64k", "128m")),
    _Workload("plain, 4 KiB random", "plain", _random("4k", "24m")),
    _Workload(
        "plain, 4 KiB random, 32 at a time", "plain", _random("4k", "24m", ioengine="libaio", iodepth=32)
    ),
    _Workload("zlib, 4 KiB random", "zlib", _random("4k", "4m")),
)
_FILES = ("plain", "nodatasum", "zlib")


def _run(experiment: Experiment) -> None:
    assert isinstance(experiment, LiveExperiment)
    for name in _FILES:
        _make_file(experiment, name)
    experiment.sync()
    experiment.remount()
    measured = [_measure(experiment, *turn) for turn in _turns()]
    experiment.measured().keep([one for one in measured if one.round])


def _turns() -> Iterator[tuple[int, _Workload, str]]:
    """Yield round, workload and way; every other round the other way round."""
    order = [(workload, way) for workload in WORKLOADS for way in (DIRECT, BUFFERED)]
    for number in range(ROUNDS + 1):
        order.reverse()
        for workload, way in order:
            yield number, workload, way


def _make_file(experiment: LiveExperiment, name: str) -> None:
    path = experiment.mount / name
    experiment.step("make file", set_nodatacow if name == "nodatasum" else Path.touch, path)
    if name == "zlib":
        experiment.btrfs("property", "set", path, "compression", "zlib")
    options: dict[str, Any] = {
        "filename": name,
        "rw": "write",
        "bs": "1m",
        "size": f"{FILE_MIB}m",
        "end_fsync": 1,
        "ioengine": "psync",
        "refill_buffers": 1,
        "buffer_compress_percentage": 60,
        "buffer_compress_chunk": 4096,
        "randseed": experiment.seed + 1,
    }
    experiment.fio(FioJob(f"make-{name}", {"make": options}))


def _measure(experiment: LiveExperiment, number: int, workload: _Workload, way: str) -> Measurement:
    experiment.step("drop pages", _drop_pages, experiment.mount / workload.file)
    options: dict[str, Any] = {
        "filename": workload.file,
        "size": f"{FILE_MIB}m",
        "direct": int(way == DIRECT),
        "ioengine": "psync",
        "randseed": experiment.seed + number,
        **workload.options,
    }
    place = WORKLOADS.index(workload)
    before = kernel_threads_ns()
    result = experiment.fio(FioJob(f"{number}-{place}-{way}", {"read": options}))
    spent = sum(ns - before.get(pid, 0) for pid, ns in kernel_threads_ns().items())
    (job,) = result.jobs
    if not job.read.bw_bytes:
        raise InfrastructureError(f"fio job {number}-{place}-{way} was too short to be measured")
    return Measurement(
        workload.what,
        way,
        number,
        job.read.io_bytes,
        job.read.io_bytes / job.read.bw_bytes,
        _task_cpu(experiment.taskstats[-1]),
        spent / 1e9,
        os.getloadavg()[0],
    )


def _task_cpu(told: dict[str, Any]) -> float | None:
    """Return the CPU time of the process that read, s; None if the kernel did not tell it.

    It is a child of fio's first process, which reads the job file and writes the report.
    """
    processes = told.get("processes", ())
    first = {one["pid"] for one in processes}
    reading = [one for one in processes if one["parent"] in first]
    if told.get("lost", 1) or len(reading) != 1:
        return None
    return float(reading[0]["cpu_run_ns"]) / 1e9


def _drop_pages(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


CASES: tuple[Case, ...] = (
    Case(
        "direct_io/throughput",
        "fio reads files directly and buffered, in turns: how fast, and at what cost of CPU time",
        frozenset(("claims",)),
        BtrfsLayout(size_bytes=4096 * MIB, mount_options=("noatime",)),
        _run,
        600.0,
        MEASURED,
    ),
)
"""Every case."""
