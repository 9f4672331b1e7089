# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel still holds of a work root; the tests end with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from loopdevs.drives import our_drives
from loopdevs.loop import attached_below
from loopdevs.mapper_control import PREFIX as MAPPED
from loopdevs.mapper_control import mapped_devices
from loopdevs.mounts import mounts_below
from loopdevs.processes import holders
from loopdevs.tracing import PREFIX

__all__ = ["kernel_leftovers", "tracing_instances"]

SYSFS = Path("/sys/block")


def kernel_leftovers(root: Path) -> list[str]:
    """Return a line for each loop device, mount and other process that has to do with `root`.

    Of bcache and mapped devices, which have no place in the file system, those on such loop devices and on
    drives of ours count, and mapped devices with our prefix that stand on nothing.
    """
    loops = attached_below(root)
    return [
        *(f"loop device {device}" for device in loops),
        *_stacked({device.name for device in (*loops, *our_drives())}),
        *(f"mount {mount.point}" for mount in mounts_below(root)),
        *(f"process {process}" for process in holders(root) if process.pid != os.getpid()),
    ]


def _stacked(below: set[str]) -> list[str]:
    """Return a line for each bcache or mapped device that stands on one of `below`, however high."""
    found = {}
    for uuid, device in mapped_devices().items():
        bare = not any((SYSFS / device.name / "slaves").glob("*"))
        if uuid.startswith(MAPPED) and bare:
            found[device.name] = f"mapped device {uuid}"
    reached = [*below, *found]
    for name in reached:
        if (SYSFS / name / "bcache").is_dir():
            found[f"{name}/bcache"] = f"bcache on /dev/{name}"
        for holder in sorted((SYSFS / name / "holders").glob("*")):
            found.setdefault(holder.name, f"device /dev/{holder.name} on /dev/{name}")
            reached.append(holder.name)
    return list(found.values())


def tracing_instances() -> set[str]:
    """Return the names of all tracing instances with our prefix, of all runs; needs root."""
    with TemporaryDirectory() as point:
        subprocess.run(["mount", "-i", "-t", "tracefs", "look", point], check=True)
        try:
            return {p.name for p in Path(point, "instances").iterdir() if p.name.startswith(PREFIX)}
        finally:
            subprocess.run(["umount", point], check=True)
