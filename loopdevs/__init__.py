# SPDX-License-Identifier: GPL-2.0-or-later
"""The only code that creates, formats, mounts, corrupts or removes devices; the journal of what exists."""

from __future__ import annotations

from loopdevs.bcache import Bcache, BcacheStats
from loopdevs.bcache_layout import BcacheLayout
from loopdevs.btrfs import BtrfsFilesystem
from loopdevs.capability import fuse_skip_reasons, guest_skip_reasons, live_skip_reasons
from loopdevs.cgroups import Limits
from loopdevs.clean import clean
from loopdevs.errors import DeviceTimeoutError, LoopdevsError, NotOursError
from loopdevs.events import wait_for_block_device
from loopdevs.layout import BtrfsLayout
from loopdevs.mapper import Mapper
from loopdevs.mapper_table import Delay, Error, Flakey, Linear, LogWrites, Segment
from loopdevs.processes import process_start_time
from loopdevs.rotational.device import RotationalDevice, RotationalDrive
from loopdevs.rotational.failing import Failing
from loopdevs.rotational.layout import RotationalLayout, shrunk
from loopdevs.rotational.served import ServedRequest
from loopdevs.throttle import Throttle
from loopdevs.undo import CleanReport
from loopdevs.workspace import Workspace

__all__ = [
    "Bcache",
    "BcacheLayout",
    "BcacheStats",
    "BtrfsFilesystem",
    "BtrfsLayout",
    "CleanReport",
    "Delay",
    "DeviceTimeoutError",
    "Error",
    "Failing",
    "Flakey",
    "Limits",
    "Linear",
    "LogWrites",
    "LoopdevsError",
    "Mapper",
    "NotOursError",
    "RotationalDevice",
    "RotationalDrive",
    "RotationalLayout",
    "Segment",
    "ServedRequest",
    "Throttle",
    "Workspace",
    "clean",
    "fuse_skip_reasons",
    "guest_skip_reasons",
    "live_skip_reasons",
    "process_start_time",
    "shrunk",
    "wait_for_block_device",
]
