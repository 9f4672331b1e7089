# SPDX-License-Identifier: GPL-2.0-or-later
"""What the file system and the block layer say about the devices of a case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sh

from harness.errors import InfrastructureError

__all__ = ["device_counters", "filesystem_layout"]

# Documentation/block/stat.rst
_COUNTERS = (
    "reads",
    "read_merges",
    "read_sectors",
    "read_ms",
    "writes",
    "write_merges",
    "write_sectors",
    "write_ms",
    "in_flight",
    "io_ms",
    "queue_ms",
    "discards",
    "discard_merges",
    "discard_sectors",
    "discard_ms",
    "flushes",
    "flush_ms",
)


def device_counters(devices: Sequence[Path]) -> dict[str, dict[str, int]]:
    """Return /sys/block/DEVICE/stat by device name; sectors are 512 bytes, times ms."""
    counters = {}
    for device in devices:
        values = Path(f"/sys/block/{device.name}/stat").read_text().split()
        counters[device.name] = dict(zip(_COUNTERS, map(int, values), strict=False))
    return counters


def filesystem_layout(mountpoint: Path) -> list[dict[str, Any]]:
    """Return how each device's space is used, as `btrfs device usage` reports it, bytes by kind of chunk.

    Raises InfrastructureError when it does not.
    """
    devices: list[dict[str, Any]] = []
    try:
        output = str(sh.btrfs("device", "usage", "--raw", str(mountpoint)))
    except sh.ErrorReturnCode as error:
        raise InfrastructureError(f"btrfs device usage failed: {error.stderr.decode().strip()}") from None
    for line in output.splitlines():
        name, _, value = line.strip().rpartition(" ")
        if line.startswith("/"):
            devices.append({"device": line.split(",")[0]})
        elif devices and value.isdigit():
            devices[-1][name.strip().rstrip(":")] = int(value)
    return devices
