# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a scene on new devices, and judges its reads at once."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from harness.bundle import Table
from harness.direct_io.build import build
from harness.direct_io.capture import DirectIoCapture
from harness.direct_io.damage import device_stats
from harness.direct_io.describe import describe, file_ids
from harness.direct_io.reads import make_reads
from harness.direct_io.record import DirectRead, Layout
from harness.direct_io.scene import Scene
from harness.errors import InfrastructureError
from harness.judge.direct_io import DirectReadsJudgement, ReaderFactory, judge_reads, mainline_reader
from loopdevs import BtrfsFilesystem, Workspace

__all__ = ["Trial", "attempt"]

FULL_BYTES = 8 << 20
"""With less than this free, a step may have been refused for want of space."""


@dataclass(frozen=True)
class Trial:
    """A scene that was made."""

    scene: Scene
    layout: Layout
    reads: Sequence[DirectRead]
    events: Table
    judgement: DirectReadsJudgement

    def wrong(self) -> dict[str, str]:
        """Return the first difference of each check that failed."""
        return {
            check.name: check.first_difference.summary
            for check in self.judgement.checks
            if check.wrong and check.first_difference
        }


def attempt(scene: Scene, workspace: Workspace, make: ReaderFactory = mainline_reader) -> Trial | None:
    """Make the scene and judge it by the model that `make` gives.

    None if it cannot be made: the kernel refuses a step, or there is no block where one is to be damaged.
    InfrastructureError if events were lost, LoopdevsError if there is no space.
    """
    with workspace.btrfs(scene.layout) as filesystem, closing(DirectIoCapture()) as capture:
        try:
            layout = _build(scene, filesystem)
            wanted = scene.direct_reads(layout)
        except (OSError, LookupError):
            workspace.check_space(FULL_BYTES)
            return None
        filesystem.mount()
        capture.begin(filesystem.mountpoint, filesystem.devices)
        paths = [filesystem.mountpoint / name for name in scene.plan.read]
        reads = make_reads(paths, wanted, capture, filesystem)
        if any(one.damage for one in scene.reads):
            layout.corruption_errs = device_stats(_btrfs, filesystem.mountpoint, "corruption_errs")
        capture.keep(reads, layout)
        recording = capture.stop()
        filesystem.umount()
    if lost := sum(recording.lost.values()):
        raise InfrastructureError(f"{lost} events were lost: try again when the machine is less busy")
    return Trial(scene, layout, reads, recording.events, judge_reads(layout, reads, recording.events, make))


def _build(scene: Scene, filesystem: BtrfsFilesystem) -> Layout:
    filesystem.mount()
    plan = scene.plan
    build(plan, filesystem.mountpoint, _btrfs)
    ids = file_ids(plan, filesystem.mountpoint)
    filesystem.umount()
    return describe(filesystem.devices, plan, ids)


def _btrfs(*arguments: str | Path) -> str:
    command = ["btrfs", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise InfrastructureError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout
