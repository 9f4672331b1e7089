# SPDX-License-Identifier: GPL-2.0-or-later
"""Running the tools of the system, with a deadline and one line when they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from loopdevs.errors import LoopdevsError

__all__ = ["find_tool", "run_tool"]

PACKAGES = {
    "dmsetup": "dmsetup",
    "make-bcache": "bcache-tools",
    "mkfs.btrfs": "btrfs-progs",
    "modprobe": "kmod",
    "mount": "util-linux",
}
DEADLINE_S = 120.0


def find_tool(name: str) -> str:
    """Return the path of a tool; LoopdevsError names the package to install."""
    # System administration tools are often not on the path of an ordinary shell.
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise LoopdevsError(f"{name} is not installed: install {PACKAGES[name]}")
    return found


def run_tool(name: str, arguments: Sequence[str | Path], keep_open: int | None = None, text: str = "") -> str:
    """Run a tool on the input `text` to its end and return its output.

    LoopdevsError with the tool's own words when it fails. The tool inherits the descriptor `keep_open`, the
    lock: when this process is killed meanwhile, the run counts as alive until the tool has ended too, and
    nobody cleans up under it. Who only looks or undoes need not give it.
    """
    try:
        done = subprocess.run(
            [find_tool(name), *arguments],
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
            pass_fds=() if keep_open is None else (keep_open,),
            timeout=DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LoopdevsError(f"{name} did not end within {DEADLINE_S:g} s and was killed") from None
    if done.returncode:
        raise LoopdevsError(f"{name} failed: {_complaint(done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout


def _complaint(output: str) -> str:
    """Return the line that matters: the first error of btrfs-progs, else the first line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or [""])[0]
