# SPDX-License-Identifier: GPL-2.0-or-later
"""Waits until pages that a read brought into the page cache have their data. Looking changes nothing."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from harness.errors import InfrastructureError

__all__ = ["wait_for_data"]

LOOK_S = 0.001
FAILED_S = 2.0
"""A page without data for so long has failed, and stays without."""
IDLE_LOOKS = 20
"""So has one that has none when devices had nothing to do so many times: workers may go on."""


def wait_for_data(fd: int, indices: Collection[int], devices: Sequence[Path]) -> None:
    """Wait until all these pages of a file have their data, or will not get any from these devices.

    A read returns when the pages it wants have theirs. Others that came into the cache with them may still be
    read then, and repaired on the devices: in 5.10 each page of a compressed extent for itself.
    """
    if not indices:
        return
    with mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapping:
        deadline = time.monotonic() + FAILED_S
        idle = 0
        while not _have_data(mapping, indices) and time.monotonic() < deadline and idle < IDLE_LOOKS:
            time.sleep(LOOK_S)
            idle = idle + 1 if _are_idle(devices) else 0


def _are_idle(devices: Sequence[Path]) -> bool:
    counts = [(Path("/sys/block") / device.name / "inflight").read_text().split() for device in devices]
    return all(count == ["0", "0"] for count in counts)


def _have_data(mapping: mmap.mmap, indices: Collection[int]) -> bool:
    found = _mincore(mapping)
    # Pages behind the end of the file are in no mapping.
    return all(found[index] & 1 for index in indices if index < len(found))


def _mincore(mapping: mmap.mmap) -> bytes:
    """mincore(2): of each page, whether it is in the page cache and has its data."""
    found = ctypes.create_string_buffer(-(-len(mapping) // mmap.PAGESIZE))
    start = np.frombuffer(mapping, np.uint8).ctypes.data
    library = ctypes.CDLL(None, use_errno=True)
    if library.mincore(ctypes.c_void_p(start), ctypes.c_size_t(len(mapping)), found):
        raise InfrastructureError(f"mincore failed: {os.strerror(ctypes.get_errno())}")
    return found.raw
