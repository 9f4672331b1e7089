# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether FUSE can be used here: the kernel's side, and libfuse 3, which no Python package brings."""

from __future__ import annotations

import os
from ctypes.util import find_library
from pathlib import Path

__all__ = ["LIBFUSE", "fuse_missing"]

DEVICE = Path("/dev/fuse")
LIBFUSE = {"FUSE_LIBRARY_NAME": "fuse3"}
"""The environment in which mfusepy takes libfuse 3; where libfuse 2 is installed too it would take that."""


def fuse_missing() -> str:
    """Return why no disk can be mounted through FUSE here, with what to do; nothing when it can be."""
    if not find_library(LIBFUSE["FUSE_LIBRARY_NAME"]):
        return "libfuse 3 is not installed: install libfuse3-3 (Debian), fuse3-libs (Fedora) or fuse3"
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{DEVICE} cannot be used ({error.strerror}): load the module fuse (modprobe fuse), be root"
    return ""
