# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways to capture, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.capture import Capture
from harness.capture.extent_io import BpfCapture
from harness.capture.tracefs import TracefsCapture
from loopdevs import Workspace

__all__ = ["CAPTURES", "capture_starter"]

CAPTURES = ("bpf", "tracefs")


def capture_starter(name: str, workspace: Workspace) -> Callable[[str, Path], Capture]:
    """Return what starts a capture of this name: a function of a file system's fsid and a scratch file."""
    if name == "tracefs":
        return lambda fsid, scratch: TracefsCapture(fsid, workspace.tracing(), scratch)
    return BpfCapture
