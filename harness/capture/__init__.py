# SPDX-License-Identifier: GPL-2.0-or-later
"""Records what the kernel's extent-io-tree does, in total order, and dumps the real trees."""

from __future__ import annotations

from typing import Protocol

from harness.capture.recording import Recording

__all__ = ["Capture", "Recording"]


class Capture(Protocol):
    """A running capture of one file system."""

    def checkpoint(self, name: str) -> None:
        """Wait until the kernel is quiet and read every known tree."""

    def stop(self) -> Recording:
        """Stop and return everything recorded."""

    def close(self) -> None:
        """Give everything back without a recording; harmless when done before."""
