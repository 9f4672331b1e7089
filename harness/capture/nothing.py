# SPDX-License-Identifier: GPL-2.0-or-later
"""The capture of cases that are not about extent-io-trees: there is nothing to record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from harness.capture import Recording
from harness.capture.choice import CaptureFactory

__all__ = ["NOTHING", "NoCapture", "prepared_nothing"]

NOTHING = "none"
"""The capture's method in bundles of such cases."""


class NoCapture:
    """Implements `harness.capture.Capture`."""

    def checkpoint(self, name: str) -> None:
        """Refuse: a case that wants checkpoints wants a capture."""
        raise ValueError(f"checkpoint {name!r} in a case that is not captured")

    def stop(self) -> Recording:
        """Return a recording without events."""
        return Recording(NOTHING, {"kind": np.empty(0, np.uint8)}, (), {})

    def close(self) -> None:
        """Give back nothing."""


@contextmanager
def prepared_nothing() -> Iterator[CaptureFactory]:
    """Prepare nothing (`harness.capture.choice`)."""

    def start(_fsid: str, _scratch: Path) -> NoCapture:
        return NoCapture()

    yield start
