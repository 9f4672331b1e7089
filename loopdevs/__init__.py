# SPDX-License-Identifier: GPL-2.0-or-later
"""The only code that creates, formats, mounts, corrupts or removes devices; the journal of what exists."""

from __future__ import annotations

from loopdevs.btrfs import BtrfsFilesystem
from loopdevs.capability import live_skip_reasons
from loopdevs.clean import clean
from loopdevs.errors import DeviceTimeoutError, LoopdevsError, NotOursError
from loopdevs.events import wait_for_block_device
from loopdevs.layout import BtrfsLayout
from loopdevs.processes import process_start_time
from loopdevs.undo import CleanReport
from loopdevs.workspace import Workspace

__all__ = [
    "BtrfsFilesystem",
    "BtrfsLayout",
    "CleanReport",
    "DeviceTimeoutError",
    "LoopdevsError",
    "NotOursError",
    "Workspace",
    "clean",
    "live_skip_reasons",
    "process_start_time",
    "wait_for_block_device",
]
