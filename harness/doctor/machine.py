# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine around the kernel's storage code: rights, space, memory, accounting, Python packages."""

from __future__ import annotations

import importlib
import os
import shutil
import tomllib
from pathlib import Path

from harness.doctor.probes import MissingError

__all__ = ["GIB", "available_bytes", "free_space", "memory", "python_packages", "root", "taskstats"]

GIB = 1024**3
ROOT_FOLDER = Path(__file__).resolve().parents[2]


def root() -> str:
    """Return who we are, if it is root."""
    if os.geteuid():
        raise MissingError(
            "not root",
            "start `run` as root; doctor, judge, report, list and the rest of test work without",
        )
    return "uid 0"


def free_space(work_root: Path, needed_bytes: int) -> str:
    """Return what is free where the devices' backing files will lie."""
    existing = next(path for path in (work_root, *work_root.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise MissingError(
            f"{free / GIB:.1f} GiB free at {existing}, {needed_bytes / GIB:.0f} GiB are needed",
            "free space, or give `run --work` a directory elsewhere",
        )
    return f"{free / GIB:.1f} GiB at {existing}"


def available_bytes() -> int:
    """Return the memory that can be had without swapping (MemAvailable)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def memory(needed_bytes: int) -> str:
    """Return how much memory there is, if it is enough."""
    available = available_bytes()
    if available < needed_bytes:
        raise MissingError(
            f"{available / GIB:.1f} GiB available, {needed_bytes / GIB:.0f} GiB are needed",
            "end other programs",
        )
    return f"{available / GIB:.1f} GiB available"


def taskstats() -> str:
    """Ask the kernel for the accounting of this process (Documentation/accounting/taskstats.rst)."""
    # Imported here: pyroute2 costs more than all of `--help`.
    from pyroute2 import TaskStats
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with TaskStats() as socket:
            socket.bind()
            socket.get_pid_stat(os.getpid())
    except NetlinkError as error:
        raise MissingError(f"the kernel refuses: {error}", "start as root") from None
    switch = Path("/proc/sys/kernel/task_delayacct")
    delays = not switch.exists() or switch.read_text().strip() != "0"
    return "CPU and block delays" if delays else "CPU; block delays are switched off (kernel.task_delayacct)"


def python_packages() -> str:
    """Import every package that the project names as a dependency."""
    project = tomllib.loads((ROOT_FOLDER / "pyproject.toml").read_text())["project"]
    for name in project["dependencies"]:
        try:
            importlib.import_module(name.replace("-", "_"))
        except ImportError as error:
            raise MissingError(str(error), "remove .venv and start ./iodiff, which builds it again") from None
        except OSError:
            # mfusepy without libfuse: another probe looks for that.
            continue
    return f"all {len(project['dependencies'])} can be imported"
