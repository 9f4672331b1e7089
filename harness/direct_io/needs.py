# SPDX-License-Identifier: GPL-2.0-or-later
"""What recording direct reads needs of a kernel."""

from __future__ import annotations

from collections.abc import Sequence

from harness.capture.kernel import running_symbols
from harness.direct_io.capture import PROGRAMS
from harness.kernels import HOST, Kernel

__all__ = ["why_no_direct_io"]


def why_no_direct_io(kernel: Kernel) -> Sequence[str]:
    """Return every reason why direct reads cannot be recorded on a kernel; none if they can."""
    if kernel.name != HOST:
        return ["direct reads are recorded on the host only, so far"]
    symbols = running_symbols()
    missing = [event for event in PROGRAMS.values() if f"__traceiter_{event}" not in symbols]
    return [f"this kernel has no tracepoint {event}: use 6.18 or newer" for event in missing]
