# SPDX-License-Identifier: GPL-2.0-or-later
"""What recording direct reads needs of a kernel."""

from __future__ import annotations

from collections.abc import Sequence

from harness.capture.kernel import running_symbols
from harness.direct_io.kernel import missing_probes, why_no_calls
from harness.kernels import HOST, Kernel

__all__ = ["why_no_deep_direct_io", "why_no_direct_io", "why_not_many_at_once"]


def why_no_direct_io(kernel: Kernel) -> Sequence[str]:
    """Return every reason why direct reads cannot be recorded on a kernel; none if they can.

    Of a guest nobody knows before it runs: there, the capture says it.
    """
    return missing_probes(running_symbols()) if kernel.name == HOST else ()


def why_no_deep_direct_io(kernel: Kernel) -> Sequence[str]:
    """Return the same for several reads at a time."""
    return why_no_calls(running_symbols()) if kernel.name == HOST else ()


def why_not_many_at_once(kernel: Kernel) -> Sequence[str]:
    """Return the same for more than a guest's emulated processor can do in seconds."""
    if kernel.name != HOST:
        return [
            "thousands of reads take a guest many minutes: direct_io/some-deep and some-fio are for guests"
        ]
    return why_no_deep_direct_io(kernel)
