# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for a block device to become ready, woken by the kernel's own device events."""

from __future__ import annotations

from pathlib import Path

import pyudev

from loopdevs.deadline import Deadline
from loopdevs.errors import DeviceTimeoutError

__all__ = ["wait_for_block_device"]


def wait_for_block_device(device: Path, deadline_s: float = 10.0) -> None:
    """Return when `device` has its node and a size; DeviceTimeoutError after `deadline_s` seconds.

    The events come from the kernel itself (source "kernel"), so no udevd need run.
    """
    deadline = Deadline(deadline_s)
    monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="kernel")
    monitor.filter_by("block")
    # Listening before looking: an event between the two is not lost.
    monitor.start()
    while not _ready(device):
        if not deadline.remaining:
            raise DeviceTimeoutError(f"{device} was not ready within {deadline_s:g} s")
        monitor.poll(timeout=deadline.remaining)


def _ready(device: Path) -> bool:
    try:
        sectors = int(Path("/sys/block", device.name, "size").read_text())
    except FileNotFoundError:
        return False
    return sectors > 0 and device.is_block_device()
