# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine's own tools for packages and modules, run in plain English, their failures told in a line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from harness.errors import UserError

__all__ = ["Progress", "complaint", "depmod", "environment", "find", "human", "run", "silent"]

Progress = Callable[[str], None]
"""Is told in a line what is being done."""

PACKAGES = {"depmod": "kmod", "dpkg-deb": "dpkg", "apt-get": "apt", "apt-cache": "apt", "apt-config": "apt"}
SYSTEM = ":/usr/sbin:/sbin"
"""Where depmod is, which the PATH of an ordinary user leaves out."""


def silent(_line: str) -> None:
    """Tell nobody."""


def find(tool: str) -> str:
    """Return the path of a tool; UserError when it is not installed."""
    path = shutil.which(tool, path=os.environ.get("PATH", os.defpath) + SYSTEM)
    if path is None:
        raise UserError(f"{tool} is missing: install it (Debian package {PACKAGES.get(tool, tool)})")
    return path


def environment() -> dict[str, str]:
    """Return the environment for tools whose messages are read."""
    return {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": ""}


def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end, whatever that is; UserError when it is not installed."""
    return subprocess.run(
        [find(tool), *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def complaint(stderr: str) -> str:
    """Return the line of a tool's output that tells best why it failed: apt's first error, else the first.

    >>> complaint("W: that\\nE: this\\nE: and more")
    'this'
    >>> complaint("dpkg-deb (subprocess): unexpected end of file\\ndpkg-deb: error: tar failed")
    'unexpected end of file'
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
    line = (errors or lines or ["it fails without a word"])[0]
    return re.sub(r"^[\w-]+( \(subprocess\))?: (error: |ERROR: )?", "", line) if not errors else line


def depmod(root: Path, release: str) -> None:
    """Write the index of the modules in `root`/lib/modules/`release`; UserError when that fails.

    Under both names of the folder, as distributions differ in where kmod looks below the root it is given.
    """
    for here, there, link in (
        ("lib", "usr/lib", "../../lib/modules"),
        ("usr/lib", "lib", "../usr/lib/modules"),
    ):
        if (root / here / "modules").is_dir() and not (root / there / "modules").exists():
            (root / there).mkdir(parents=True, exist_ok=True)
            (root / there / "modules").symlink_to(link)
    done = run("depmod", "-b", root, release)
    if done.returncode or not (root / "lib/modules" / release / "modules.dep").exists():
        raise UserError(f"depmod fails for the modules of {release}: {complaint(done.stderr)}")


def human(size: int) -> str:
    """Return a size in bytes for people to read.

    >>> human(107179464)
    '102.2 MiB'
    """
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"
