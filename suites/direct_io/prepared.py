# SPDX-License-Identifier: GPL-2.0-or-later
"""Files to be read by several at a time, and recording that has begun."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import PurePath

from harness.direct_io.build import build
from harness.direct_io.describe import describe, file_ids
from harness.direct_io.plan import Plan
from harness.direct_io.record import Layout
from harness.record.experiment import LiveExperiment
from suites.direct_io.files import random_plan

__all__ = ["prepared"]


def prepared(experiment: LiveExperiment, files: int) -> tuple[Plan, Layout]:
    """Make so many files on the file system, and begin to record calls."""
    plan = _one_of_each(random_plan(experiment.rng, files), experiment.rng)
    experiment.step("make files", build, plan, experiment.mount, experiment.btrfs)
    experiment.sync()
    filesystem = experiment.filesystem
    ids = file_ids(plan, experiment.mount)
    experiment.step("umount", filesystem.umount)
    layout: Layout = experiment.step("read devices", describe, filesystem.devices, plan, ids)
    layout.by_call = True
    experiment.step("mount", filesystem.mount)
    experiment.direct_io().begin(experiment.mount, filesystem.devices)
    return plan, layout


def _one_of_each(plan: Plan, rng: random.Random) -> Plan:
    """Have each file read either itself or in the snapshot: calls know files by inode number alone."""
    by_name: dict[str, list[str]] = {}
    for path in plan.read:
        by_name.setdefault(PurePath(path).name, []).append(path)
    return replace(plan, read=tuple(rng.choice(paths) for paths in by_name.values()))
