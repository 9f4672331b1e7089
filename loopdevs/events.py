# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for a block device to become ready, woken by device events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyudev

from loopdevs.deadline import Deadline
from loopdevs.errors import DeviceTimeoutError

__all__ = ["is_ready", "wait_for_block_device", "wait_until"]

UDEV_CONTROL = Path("/run/udev/control")
LOOK_S = 0.25
"""How often to look without an event: attributes in sysfs change without one."""


def wait_for_block_device(device: Path, deadline_s: float = 10.0) -> None:
    """Return when `device` has its node and a size; DeviceTimeoutError after `deadline_s` seconds.

    The events come from the kernel itself (source "kernel"), so no udevd need run.
    """
    deadline = Deadline(deadline_s)
    monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="kernel")
    monitor.filter_by("block")
    # Listening before looking: an event between the two is not lost.
    monitor.start()
    while not is_ready(device):
        if not deadline.remaining:
            raise DeviceTimeoutError(f"{device} was not ready within {deadline_s:g} s")
        monitor.poll(timeout=deadline.remaining)


def wait_until(condition: Callable[[], bool], deadline: Deadline) -> bool:
    """Wait for what comes with events of block devices; return whether `condition()` came to hold in time.

    Where udevd runs, the events are those that it has dealt with, else the kernel's own.
    """
    source = "udev" if UDEV_CONTROL.exists() else "kernel"
    monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source=source)
    monitor.filter_by("block")
    monitor.start()
    while not condition():
        if not deadline.remaining:
            return False
        monitor.poll(timeout=min(deadline.remaining, LOOK_S))
    return True


def is_ready(device: Path) -> bool:
    """Return whether the block device has its node and a size."""
    try:
        sectors = int(Path("/sys/block", device.name, "size").read_text())
    except FileNotFoundError:
        return False
    return sectors > 0 and device.is_block_device()
