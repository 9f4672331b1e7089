# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether this machine lets loopdevs work."""

from __future__ import annotations

import os
from pathlib import Path

from loopdevs.bcache_control import load_bcache
from loopdevs.errors import LoopdevsError
from loopdevs.loop import CONTROL
from loopdevs.mapper_control import kernel_targets
from loopdevs.rotational.libfuse import fuse_missing
from loopdevs.tools import find_tool

__all__ = ["fuse_skip_reasons", "guest_skip_reasons", "live_skip_reasons"]

TARGETS = {"delay", "error", "flakey", "linear", "log-writes"}


def live_skip_reasons() -> list[str]:
    """Return every reason why devices cannot be made here; none when they can."""
    checks = (_root(), _loop(), _btrfs(), _tool("mkfs.btrfs"), _tool("mount"))
    return [reason for reason in checks if reason]


def guest_skip_reasons() -> list[str]:
    """Return every reason why bcache and mapped devices cannot be made here; none when they can.

    Loads the kernel's modules if that is possible.
    """
    if reasons := [reason for reason in (_root(), _loop()) if reason]:
        return reasons
    checks = (_bcache(), _tool("make-bcache"), _tool("dmsetup") or _device_mapper())
    return [reason for reason in checks if reason]


def fuse_skip_reasons() -> list[str]:
    """Return every reason why rotational loop devices cannot be made here; none when they can."""
    return [reason for reason in (_root(), _loop(), fuse_missing()) if reason]


def _bcache() -> str:
    try:
        load_bcache()
    except LoopdevsError as error:
        return str(error)
    return ""


def _device_mapper() -> str:
    if missing := TARGETS - kernel_targets():
        return f"the kernel has no device mapper target {', '.join(sorted(missing))}, nor a module for it"
    return ""


def _root() -> str:
    return "" if os.geteuid() == 0 else "not root"


def _loop() -> str:
    try:
        os.close(os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{CONTROL}: {error.strerror}"
    return ""


def _btrfs() -> str:
    known = Path("/proc/filesystems").read_text().split()
    return "" if "btrfs" in known else "the kernel has no btrfs (or its module is not loaded)"


def _tool(name: str) -> str:
    try:
        find_tool(name)
    except LoopdevsError as error:
        return str(error)
    return ""
