# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the files of a plan on a mounted file system."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from harness.direct_io.plan import DONORS, FILES, SNAPSHOT, Action, Plan, Step, written
from harness.fileops import FallocateMode, fallocate, fsync, reflink, set_compression, set_nodatacow, truncate

__all__ = ["build"]

Btrfs = Callable[..., str]
"""Runs `btrfs` with arguments (`Experiment.btrfs`)."""


def build(plan: Plan, mount: Path, btrfs: Btrfs) -> None:
    """Execute all steps; OSError where the kernel refuses one."""
    (mount / DONORS).mkdir()
    btrfs("subvolume", "create", mount / FILES)
    for step in plan.steps:
        _execute(step, mount)
    if any(name.startswith(f"{SNAPSHOT}/") for name in plan.read):
        btrfs("subvolume", "snapshot", "-r", mount / FILES, mount / SNAPSHOT)


def _execute(step: Step, mount: Path) -> None:
    path = mount / step.file
    match step.action:
        case Action.CREATE:
            path.touch(exist_ok=False)
        case Action.NODATACOW:
            set_nodatacow(path)
        case Action.COMPRESS:
            set_compression(path, step.how)
        case Action.WRITE:
            _write(path, step.offset, written(step))
        case Action.SHARE:
            reflink(mount / step.source, path, step.source_offset, step.length, step.offset)
        case Action.TRUNCATE:
            truncate(path, step.length)
        case Action.ALLOCATE:
            fallocate(path, FallocateMode.ALLOCATE, step.offset, step.length)
        case Action.RESERVE:
            fallocate(path, FallocateMode.KEEP_SIZE, step.offset, step.length)
        case Action.SYNC:
            fsync(path)


def _write(path: Path, offset: int, data: bytes) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if os.pwrite(fd, data, offset) != len(data):
            raise OSError(f"{path}: a write stopped early")
        os.fsync(fd)
    finally:
        os.close(fd)
