# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels by name: what there is, and how a name becomes a kernel on this machine."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from harness.errors import UserError
from harness.kernels import store
from harness.kernels.debian import SUITES, debian_kernel
from harness.kernels.debs import deb_kernel
from harness.kernels.kernel import HOST, Kernel
from harness.kernels.local import local_kernel
from harness.kernels.tools import Progress, silent

__all__ = ["catalogue", "fetch", "installed", "remove", "resolve"]

DEBIAN = "debian:"


def catalogue() -> list[str]:
    """Return the names that need no path, the host first."""
    return [HOST, *(DEBIAN + series for series in SUITES)]


def installed() -> list[store.Entry]:
    """Return what the cache has: fetched kernels, and those made ready from paths and .deb files."""
    return store.entries()


def resolve(name: str, progress: Progress = silent) -> Kernel:
    """Return the kernel of that name, fetched if it has to be.

    What is in the cache is taken as it is, without asking the archive for a newer one. Raises UserError for a
    name that means nothing, and for a kernel that cannot be had.
    """
    if name == HOST:
        return Kernel(HOST, HOST, os.uname().release, None, None, None)
    if name in catalogue():
        return store.kept(debian_kernel(name, name.removeprefix(DEBIAN), progress), name)
    path = Path(name)
    if path.suffix == ".deb":
        return deb_kernel(name, path, progress)
    if "/" in name or path.exists():
        return local_kernel(name, path, progress)
    raise UserError(f"unknown kernel {name!r}: {_hint(name, catalogue())}")


def fetch(name: str, progress: Progress = silent) -> Kernel:
    """Return the kernel of that name as `resolve` does, and say so when nothing had to be done for it."""
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        progress(line)

    kernel = resolve(name, tell)
    if not told:
        newer = "; remove it first to get a newer one" if name.startswith(DEBIAN) else ""
        progress(f"{name}: {kernel.release} is here already{newer}")
    return kernel


def remove(name: str, progress: Progress = silent) -> store.Entry:
    """Remove what the cache has under that name, or label, and return what it was.

    Kernels outside the cache are never touched. Raises UserError when the cache has nothing of that name.
    """
    whole = str(Path(name).absolute())
    entries = store.entries()
    entry = next((e for e in entries if name in (e.name, e.label) or whole == e.name), None)
    if entry is None:
        raise UserError(
            f"no kernel {name} is kept in {store.folder()}: {_hint(name, [e.name for e in entries])}"
        )
    with store.locked(entry.label, progress):
        return store.remove(entry.label)


def _hint(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there are {', '.join(names)}" if names else "nothing is"
