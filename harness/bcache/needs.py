# SPDX-License-Identifier: GPL-2.0-or-later
"""What recording bcache needs of a kernel."""

from __future__ import annotations

from collections.abc import Sequence

from harness.kernels import HOST, Kernel, module_missing

__all__ = ["why_no_bcache"]


def why_no_bcache(kernel: Kernel) -> Sequence[str]:
    """Return every reason why bcache cannot be recorded on a kernel; none if it can."""
    if module_missing(kernel, ["bcache"]):
        return [f"{kernel.name} has no bcache: use a kernel built with CONFIG_BCACHE, debian:6.12 has it"]
    if kernel.name == HOST:
        # A set would stay registered if recording were killed, and nobody else's may be there meanwhile.
        return ["bcache is recorded in guests only: give --kernel debian:6.12"]
    return []
