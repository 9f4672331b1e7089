# SPDX-License-Identifier: GPL-2.0-or-later
"""Losses of power under a cache at work, and damage to what is on its disks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.bcache.crash.damages import DAMAGES
from harness.bcache.crash.plan import CrashPlan
from harness.capture.choice import CRASHES
from harness.cases import Case, Experiment
from harness.kernels import HOST, Kernel, module_missing
from harness.record.experiment import LiveExperiment
from loopdevs import BcacheLayout

__all__ = ["CASES"]

KIB, MIB = 1024, 1024**2
LOSSES = 24
DEADLINE_S = 40.0


SMALL = BcacheLayout(
    backing_bytes=16 * MIB,
    cache_bytes=16 * MIB,
    cache_mode="writeback",
    bucket_bytes=4 * KIB,
    block_bytes=512,
)


def why_not(kernel: Kernel) -> Sequence[str]:
    """Return every reason why writes to a cache cannot be logged on a kernel; none if they can."""
    if missing := module_missing(kernel, ["bcache", "dm-mod", "dm-log-writes"]):
        return [f"{kernel.name} has no {', '.join(missing)}: use a kernel that has them, as debian:6.12"]
    if kernel.name == HOST:
        # What is registered would stay so if we were killed.
        return ["power is lost in guests only: give --kernel debian:6.12"]
    return []


def crash_case(
    name: str,
    title: str,
    plan: CrashPlan,
    losses: int = LOSSES,
    damages: Sequence[str] = (),
    failing: int = 0,
) -> Case:
    """Return a case that does the work of a plan, and loses power so often."""

    def run(experiment: Experiment) -> None:
        assert isinstance(experiment, LiveExperiment)
        # The plan's own set is made on a disk that logs.
        experiment.step("stop", experiment.cached.umount)
        experiment.lose_power(plan, losses, damages, failing)

    return Case(
        id=f"bcache/crash-{name}",
        title=title,
        groups=frozenset(("auto",)),
        layout=plan.layout,
        run=run,
        deadline_s=DEADLINE_S,
        capture=CRASHES,
        why_not=why_not,
    )


def _cases() -> Iterator[Case]:
    yield crash_case(
        "written-back",
        "power lost while random writes are cached and written back: nothing flushed is lost",
        CrashPlan(SMALL),
    )
    yield crash_case(
        "reused",
        "power lost while a small cache is written back at full speed and its buckets are used again",
        CrashPlan(
            replace(SMALL, backing_bytes=32 * MIB, cache_bytes=8 * MIB, writeback_percent=0),
            area_sectors=28 * MIB // 512,
            side_by_side=16,
            flush_chance=0.05,
        ),
    )
    yield crash_case(
        "large-buckets",
        "power lost with buckets of 16 KiB and blocks of 4 KiB",
        CrashPlan(replace(SMALL, cache_bytes=32 * MIB, bucket_bytes=16 * KIB, block_bytes=4 * KIB)),
    )
    yield crash_case(
        "written-through",
        "power lost while writes go to both devices: the cache never knows better",
        CrashPlan(replace(SMALL, cache_mode="writethrough")),
    )
    yield crash_case(
        "damaged",
        "superblocks, journal, priorities, nodes and data damaged after a loss of power",
        CrashPlan(SMALL),
        losses=3,
        damages=tuple(DAMAGES),
    )
    yield crash_case(
        "failing",
        "parts of the cache and of the backing device cannot be read: what is older never comes back",
        CrashPlan(SMALL),
        losses=6,
        failing=6,
    )


CASES = tuple(_cases())
"""Every case."""
