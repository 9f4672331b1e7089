# SPDX-License-Identifier: GPL-2.0-or-later
"""Loop devices, btrfs and tracefs, made and removed through `loopdevs`, in a work directory of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.capture.kernel import TRACEPOINTS
from harness.doctor.machine import root
from harness.doctor.probes import MissingError
from loopdevs import BtrfsLayout, Workspace
from loopdevs.deadline import Deadline
from loopdevs.loop import BackingFile, attach, detach, uses_direct_io
from loopdevs.rotational.libfuse import fuse_missing

__all__ = ["btrfs", "btrfs_known", "fuse", "loop", "trace_events"]

MIB = 1024**2


def loop(work_root: Path) -> str:
    """Attach a loop device to a file of 1 MiB and detach it."""
    with _workspace(work_root) as workspace:
        file = workspace.path("loop.img")
        with file.open("xb") as f:
            f.truncate(MIB)
        backing = BackingFile.of(file)
        device = attach(backing)
        try:
            direct = uses_direct_io(device)
        finally:
            detach(device, backing, Deadline(5))
    return "attached and detached, " + ("direct I/O" if direct else "no direct I/O on this file system")


def btrfs_known() -> str:
    """Look for btrfs among the file systems of the running kernel."""
    if "btrfs" not in Path("/proc/filesystems").read_text().split():
        raise MissingError("the kernel knows no btrfs", "modprobe btrfs, or boot a kernel that has it")
    return "known"


def btrfs(work_root: Path) -> str:
    """Make a btrfs on a loop device, mount it, write and read a file."""
    btrfs_known()
    layout = BtrfsLayout(size_bytes=256 * MIB)
    with _workspace(work_root) as workspace, workspace.btrfs(layout) as filesystem:
        filesystem.mount()
        file = filesystem.mountpoint / "probe"
        file.write_bytes(b"iodiff")
        if file.read_bytes() != b"iodiff":
            raise MissingError("a file on a fresh btrfs does not read as it was written")
    return "made, mounted, written, read"


def fuse() -> str:
    """Look for libfuse and the kernel's side of it."""
    if reason := fuse_missing():
        raise MissingError(*reason.split(": ", 1))
    return "usable"


def trace_events(work_root: Path) -> str:
    """Make a tracefs instance and look for the events of the extent-io-tree in it."""
    with _workspace(work_root) as workspace:
        events = workspace.tracing() / "events" / "btrfs"
        missing = [
            names[0]
            for names in TRACEPOINTS.values()
            if not any((events / name / "format").exists() for name in names)
        ]
    if missing:
        raise MissingError(
            f"the kernel has no event {', '.join(missing)}", "modprobe btrfs, or boot another kernel"
        )
    return f"all {len(TRACEPOINTS)} extent events"


@contextmanager
def _workspace(work_root: Path) -> Iterator[Workspace]:
    root()
    fresh = not work_root.exists()
    # Below the work root, so that `iodiff clean` finds what a kill leaves.
    with Workspace.create(work_root / f"doctor-{os.getpid()}") as workspace:
        yield workspace
    if fresh:
        work_root.rmdir()
