# SPDX-License-Identifier: GPL-2.0-or-later
"""Loading kernel modules."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from loopdevs.errors import LoopdevsError
from loopdevs.tools import run_tool

__all__ = ["try_to_load"]


def try_to_load(modules: Sequence[str]) -> None:
    """Load what there is of `modules`. Whether a function is there now, the kernel itself has to say."""
    for module in modules:
        # It may be built in, or its tool missing while it is loaded.
        with suppress(LoopdevsError):
            run_tool("modprobe", ["-q", module])
