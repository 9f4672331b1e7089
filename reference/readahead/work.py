# SPDX-License-Identifier: GPL-2.0-or-later
"""Works for `fs_info->readahead_workers`. Whoever runs the engine takes one off the queue and runs it."""

from __future__ import annotations

from reference.machine import Steps
from reference.readahead.structs import ATOMIC, FsInfo

__all__ = ["reada_start_machine"]


def reada_start_machine(fs_info: FsInfo) -> Steps[None]:
    """Queue a work (`reada_start_machine`): `machine.reada_start_machine_worker` is to be run once more."""
    fs_info.observer.entered("reada_start_machine")
    yield ATOMIC
    fs_info.readahead_workers += 1
    yield ATOMIC
    fs_info.reada_works_cnt += 1
