# SPDX-License-Identifier: GPL-2.0-or-later
"""Facts about the machine, its kernel and its tools that go into every bundle."""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["kernel_facts", "machine_facts", "tool_versions"]

VERSION_S = 20.0
_VERSION_COMMANDS = {
    "fio": ["fio", "--version"],
    "btrfs-progs": ["btrfs", "--version"],
    "clang": ["clang", "--version"],
}


def kernel_facts(source: str = "host", config: Path | None = None) -> dict[str, Any]:
    """Release, version and configuration digest of the running kernel.

    `source` is its name in the catalogue, `config` its configuration where it does not tell it itself.
    """
    system = os.uname()
    return {
        "release": system.release,
        "version": system.version,
        "config_sha256": _config_digest(system.release, config),
        "source": source,
    }


def machine_facts() -> dict[str, Any]:
    """CPUs, memory (bytes), architecture and whether the machine is virtual."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    return {
        "cpus": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "arch": platform.machine(),
        "virtual": " hypervisor" in cpuinfo,
    }


def tool_versions() -> dict[str, str]:
    """First line of what each tool says of its version; tools that are missing are left out."""
    versions = {"python": platform.python_version()}
    for name, command in _VERSION_COMMANDS.items():
        if shutil.which(command[0]):
            versions[name] = _first_line(command)
    return versions


def _first_line(command: list[str]) -> str:
    """Return what `command` says first, "unknown" for nothing: a slow guest may take long to load it."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=VERSION_S, check=False)
    except subprocess.TimeoutExpired:
        return "unknown"
    return (done.stdout.splitlines() or ["unknown"])[0]


def _config_digest(release: str, config: Path | None = None) -> str | None:
    compressed, plain = Path("/proc/config.gz"), config or Path(f"/boot/config-{release}")
    if compressed.exists():
        text = gzip.decompress(compressed.read_bytes())
    elif plain.exists():
        text = plain.read_bytes()
    else:
        return None
    return hashlib.sha256(text).hexdigest()
