# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels by name: what there is, and how a name becomes a kernel on this machine."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from harness.errors import UserError
from harness.kernels import store
from harness.kernels.kernel import HOST, Kernel
from harness.kernels.local import local_kernel
from harness.kernels.tools import Progress, silent

__all__ = ["catalogue", "resolve"]

SERIES = ("5.10", "6.1", "6.12", "sid")


def catalogue() -> list[str]:
    """Return the names that need no path, the host first."""
    return [HOST, *(f"debian:{series}" for series in SERIES)]


def resolve(name: str, progress: Progress = silent) -> Kernel:
    """Return the kernel of that name, fetched if it has to be.

    Raises UserError for a name that means nothing, and a kernel that cannot be had.
    """
    if name == HOST:
        return Kernel(HOST, HOST, os.uname().release, None, None, None)
    if name in catalogue():
        entry = store.cached(name.replace(":", "-"))
        if entry is None:
            raise UserError(f"{name} is not fetched")
        return store.kept(entry, name)
    if "/" in name or Path(name).exists():
        return local_kernel(name, Path(name), progress)
    near = difflib.get_close_matches(name, catalogue(), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(catalogue())}, paths and .deb files"
    raise UserError(f"no kernel {name}: {hint}")
