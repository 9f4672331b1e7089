# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads by fio, whose calls and bios are judged by the same model as our own."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.capture.choice import DEEP_DIRECT_IO
from harness.cases import Case, Experiment
from harness.direct_io.jobs import JobTotals
from harness.direct_io.needs import why_no_deep_direct_io, why_not_many_at_once
from harness.direct_io.plan import SNAPSHOT, Plan
from harness.direct_io.record import Layout
from harness.fiojob import FioJob, Options
from harness.kernels import Kernel
from harness.record.experiment import LiveExperiment
from loopdevs import BtrfsLayout
from suites.direct_io.deep_cases import PROFILES
from suites.direct_io.prepared import prepared

__all__ = ["CASES", "random_job"]

BLOCK = 4096
KIB = 1 << 10
WHOLE = (4 * KIB, 8 * KIB, 12 * KIB, 16 * KIB, 64 * KIB, 68 * KIB, 128 * KIB, 256 * KIB, 1024 * KIB)
ODD = (512, 1024, 2560, 6 * KIB)
"""Lengths of reads that go through the page cache."""
DEPTHS = (1, 2, 4, 16, 64)
KEPT = 0.3
"""Share of jobs that find the pages of the one before."""
SYNC: Sequence[Mapping[str, str | int]] = (
    {"ioengine": "sync"},
    {"ioengine": "psync"},
    {"ioengine": "pvsync2"},
)
ENGINES: Sequence[Mapping[str, str | int]] = (
    *SYNC,
    {"ioengine": "libaio"},
    {"ioengine": "libaio", "iodepth_batch": 8},
    {"ioengine": "io_uring"},
    {"ioengine": "io_uring", "fixedbufs": 1},
    {"ioengine": "io_uring", "fixedbufs": 1, "registerfiles": 1},
    {"ioengine": "io_uring", "sqthread_poll": 1, "registerfiles": 1},
    {"ioengine": "io_uring", "sqthread_poll": 1, "fixedbufs": 1, "registerfiles": 1},
    {"ioengine": "io_uring", "force_async": 1},
    {"ioengine": "io_uring", "force_async": 3},
)


@dataclass(frozen=True)
class _FioReads:
    """What a case does."""

    files: int
    jobs: int
    reads: int
    """Of one job, all its processes together; fewer where the files are short."""

    def __call__(self, experiment: Experiment) -> None:
        """Run the case."""
        assert isinstance(experiment, LiveExperiment)
        plan, layout = prepared(experiment, self.files)
        capture = experiment.direct_io()
        with capture.draining():
            layout.jobs = [
                self._job(experiment, plan, layout, phase, odd=capture.sees_all_calls)
                for phase in range(1, self.jobs + 1)
            ]
        experiment.step("keep", lambda: capture.keep((), layout))

    def _job(
        self, experiment: LiveExperiment, plan: Plan, layout: Layout, phase: int, *, odd: bool
    ) -> JobTotals:
        sizes = {path: file.i_size for path, file in zip(plan.read, layout.files, strict=True)}
        job = random_job(experiment.rng, f"job-{phase}", sizes, self.reads, odd=odd)
        experiment.direct_io().number(phase)
        if phase == 1 or experiment.rng.random() >= KEPT:
            _forget_pages([experiment.mount / path for path in plan.read])
        return JobTotals.of(phase, job.name, experiment.fio(job))


def random_job(rng: random.Random, name: str, sizes: Mapping[str, int], reads: int, *, odd: bool) -> FioJob:
    """Return a job that reads some of the files, whose lengths are `sizes`; `odd`: not whole blocks, too."""
    engine = rng.choice(ENGINES)
    block = rng.choice(ODD) if odd and rng.random() < 0.3 else rng.choice(WHOLE)
    usable = {path: size for path, size in sizes.items() if "fixedbufs" in engine or _is_writable(path)}
    block = min(block, max(usable.values()) // BLOCK * BLOCK)
    long_enough = [path for path, size in usable.items() if size >= block]
    processes = rng.choice((1, 1, 2, 4))
    options: dict[str, str | int | None] = {
        **engine,
        **_reading(rng, engine),
        "bs": block,
        "iodepth": 1 if engine in SYNC else rng.choice(DEPTHS),
        "numjobs": processes,
        "number_ios": max(1, reads // processes),
        "filename": ":".join(rng.sample(long_enough, min(len(long_enough), rng.choice((1, 1, 2, 5))))),
        "randseed": rng.randrange(1 << 30),
        "thread": rng.randrange(2),
        "group_reporting": 1,
    }
    return FioJob(name, {"reads": options}, _ALWAYS)


def _is_writable(path: str) -> bool:
    return not path.startswith(SNAPSHOT)


def _reading(rng: random.Random, engine: Mapping[str, str | int]) -> Mapping[str, str | int]:
    """Return how to read into memory that is present.

    fio does not touch the memory of a job that only reads. A read into such memory may be buffered, which is
    not modelled. Memory that io_uring knows is pinned; a job that might write fills its memory at first.
    """
    at_random = rng.random() < 0.7
    if "fixedbufs" in engine:
        return {"rw": "randread" if at_random else "read"}
    return {"rw": "randrw" if at_random else "rw", "rwmixread": 100}


_ALWAYS: Options = {
    "direct": 1,
    "norandommap": 1,
    # Which pages a read that is not direct gets would depend on guesses otherwise.
    "fadvise_hint": "random",
    # It would let go of pages while others read already.
    "invalidate": 0,
    "allow_file_create": 0,
    "fallocate": "none",
    "file_service_type": "random",
}


def _forget_pages(paths: Sequence[Path]) -> None:
    for path in paths:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def _case(
    name: str,
    profile: str,
    *,
    jobs: int,
    reads: int,
    files: int = 12,
    groups: Sequence[str],
    why_not: Callable[[Kernel], Sequence[str]] = why_not_many_at_once,
) -> Case:
    devices = PROFILES[profile]
    return Case(
        f"direct_io/{name}",
        f"direct reads by fio: sync, libaio, io_uring, depths 1 to 64, {profile} on {devices} devices",
        frozenset(groups),
        BtrfsLayout(devices=devices, size_bytes=512 << 20, data=profile, mount_options=("noatime",)),
        _FioReads(files, jobs, reads),
        180.0,
        DEEP_DIRECT_IO,
        why_not,
    )


_small = partial(_case, files=7, why_not=why_no_deep_direct_io)
"""For every kernel, guests too."""

CASES: tuple[Case, ...] = (
    _case("fio-raid1", "raid1", jobs=10, reads=80, groups=("quick", "auto")),
    *(
        _case(f"fio-many-{profile}", profile, jobs=60, reads=250, files=20, groups=("stress",))
        for profile in PROFILES
    ),
    _small("some-fio", "raid1", jobs=6, reads=30, groups=("auto",)),
    _small("data-fio", "raid10", jobs=16, reads=40, groups=("data",)),
)
"""Every case."""
