# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel still holds of a work root; the tests end with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from loopdevs.loop import attached_below
from loopdevs.mounts import mounts_below
from loopdevs.processes import holders
from loopdevs.tracing import PREFIX

__all__ = ["kernel_leftovers", "tracing_instances"]


def kernel_leftovers(root: Path) -> list[str]:
    """Return a line for each loop device, mount and other process that has to do with `root`."""
    return [
        *(f"loop device {device}" for device in attached_below(root)),
        *(f"mount {mount.point}" for mount in mounts_below(root)),
        *(f"process {process}" for process in holders(root) if process.pid != os.getpid()),
    ]


def tracing_instances() -> set[str]:
    """Return the names of all tracing instances with our prefix, of all runs; needs root."""
    with TemporaryDirectory() as point:
        subprocess.run(["mount", "-i", "-t", "tracefs", "look", point], check=True)
        try:
            return {p.name for p in Path(point, "instances").iterdir() if p.name.startswith(PREFIX)}
        finally:
            subprocess.run(["umount", point], check=True)
