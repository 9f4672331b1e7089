# SPDX-License-Identifier: GPL-2.0-or-later
"""Random direct reads of files of every kind of extent, on each profile.

A case makes the files, unmounts, reads from the devices what lies where, mounts, and makes the reads. The
bundle has what was read, what the kernel did for it and what lies where: judging needs no device.

Cases of thousands of reads are the host's, as a guest's processor is emulated. Those called small, some and
data run on every kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from harness.capture.choice import DIRECT_IO
from harness.cases import Case, Experiment
from harness.direct_io.build import build
from harness.direct_io.damage import device_stats
from harness.direct_io.describe import check_unchanged, describe, file_ids, file_stamps
from harness.direct_io.needs import why_no_direct_io
from harness.direct_io.reads import make_reads
from harness.direct_io.record import DirectRead, Layout
from harness.errors import InfrastructureError
from harness.kernels import HOST, Kernel
from harness.record.experiment import LiveExperiment
from loopdevs import BtrfsLayout
from suites.direct_io.files import random_plan
from suites.direct_io.requests import LONG_SHARE, damaged_reads, random_reads

__all__ = ["CASES", "PROFILES", "RandomReads"]

MIB = 1 << 20


@dataclass(frozen=True)
class RandomReads:
    """What a case does."""

    files: int
    reads: int
    damaging: bool = False
    """Whether copies of what is read are damaged before."""
    long: float = LONG_SHARE
    """Share of reads of about 1 MiB and more."""

    def __call__(self, experiment: Experiment) -> None:
        """Run the case."""
        assert isinstance(experiment, LiveExperiment)
        if self.damaging and not experiment.filesystem.backing_files:
            raise InfrastructureError("only loop devices can be damaged: run without --guest-devices drives")
        plan = random_plan(experiment.rng, self.files)
        experiment.step("make files", build, plan, experiment.mount, experiment.btrfs)
        experiment.sync()
        filesystem = experiment.filesystem
        ids, stamps = file_ids(plan, experiment.mount), file_stamps(plan, experiment.mount)
        experiment.step("umount", filesystem.umount)
        layout = experiment.step("read devices", describe, filesystem.devices, plan, ids)
        self.spoil(experiment, layout)
        self.mount(experiment, layout)
        capture = experiment.direct_io()
        capture.begin(experiment.mount, filesystem.devices)
        reads = self.reads_of(experiment, layout)
        paths = [experiment.mount / name for name in plan.read]
        done: list[DirectRead] = []
        experiment.step("read", lambda: done.extend(make_reads(paths, reads, capture, filesystem)))
        check_unchanged(plan, experiment.mount, stamps)
        if self.damaging:
            layout.corruption_errs = device_stats(experiment.btrfs, experiment.mount, "corruption_errs")
            layout.read_errs = device_stats(experiment.btrfs, experiment.mount, "read_io_errs")
        experiment.step("keep", lambda: capture.keep(done, layout))

    def spoil(self, experiment: LiveExperiment, layout: Layout) -> None:
        """Do to the unmounted file system what no other copy helps against, and say so in the layout."""

    def mount(self, experiment: LiveExperiment, layout: Layout) -> None:
        """Mount it as it is to be read."""
        del layout
        experiment.step("mount", experiment.filesystem.mount)

    def reads_of(self, experiment: LiveExperiment, layout: Layout) -> list[DirectRead]:
        """Choose what is read."""
        if self.damaging:
            return damaged_reads(experiment.rng, layout, self.reads)
        return random_reads(experiment.rng, layout.files, self.reads, self.long)


def _why_not_many(kernel: Kernel) -> Sequence[str]:
    """Return every reason why thousands of reads cannot be recorded on a kernel."""
    if kernel.name != HOST:
        return ["thousands of reads take a guest many minutes: direct_io/some-PROFILE is for guests"]
    return why_no_direct_io(kernel)


def _case(
    name: str,
    profile: str,
    *,
    reads: int,
    files: int = 16,
    damaging: bool = False,
    long: float = LONG_SHARE,
    groups: Sequence[str] = ("quick", "auto"),
    why_not: Callable[[Kernel], Sequence[str]] = _why_not_many,
) -> Case:
    devices = PROFILES[profile]
    what = "direct reads of damaged files" if damaging else "random direct reads of files"
    return Case(
        f"direct_io/{name}",
        f"{what} of every kind of extent, {profile} on {devices} devices",
        frozenset(groups),
        BtrfsLayout(devices=devices, size_bytes=512 * MIB, data=profile, mount_options=("noatime",)),
        RandomReads(files, reads, damaging, long),
        120.0,
        DIRECT_IO,
        why_not,
    )


_small = partial(_case, why_not=why_no_direct_io)
"""For every kernel, guests too."""

PROFILES = {
    "single": 1,
    "dup": 1,
    "raid0": 3,
    "raid1": 2,
    "raid1c3": 3,
    "raid1c4": 4,
    "raid10": 4,
    "raid5": 3,
    "raid6": 6,
}
"""How many devices each has."""
_DAMAGED = ("single", "dup", "raid0", "raid1", "raid1c3", "raid1c4", "raid10")
"""RAID5 and 6, and what else can be wrong: see fault_cases."""

CASES: tuple[Case, ...] = (
    *(_case(profile, profile, reads=3000) for profile in PROFILES),
    _case("long", "raid1", reads=1000, long=1.0),
    *(_case(f"damaged-{profile}", profile, reads=600, damaging=True) for profile in _DAMAGED),
    *(_case(f"many-{profile}", profile, reads=20_000, files=40, groups=("stress",)) for profile in PROFILES),
    # Small enough that it takes a guest seconds.
    _small("small-raid10", "raid10", reads=120, files=3),
    _small("small-damaged-raid1c3", "raid1c3", reads=60, files=3, damaging=True),
    *(_small(f"some-{profile}", profile, reads=300, files=7, groups=("auto",)) for profile in PROFILES),
    _small("some-long", "raid1", reads=60, files=7, long=1.0, groups=("auto",)),
    *(
        _small(f"some-damaged-{profile}", profile, reads=150, files=7, damaging=True, groups=("auto",))
        for profile in _DAMAGED
    ),
    _small("data-dup", "dup", reads=900, files=7, groups=("data",)),
    _small("data-long", "single", reads=250, files=7, long=1.0, groups=("data",)),
    _small("data-raid10", "raid10", reads=900, files=7, groups=("data",)),
    *(
        _small(f"data-damaged-{profile}", profile, reads=250, files=7, damaging=True, groups=("data",))
        for profile in ("raid1c3", "raid10")
    ),
)
"""Every case."""
