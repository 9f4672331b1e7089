# SPDX-License-Identifier: GPL-2.0-or-later
"""What recording bcache needs of a kernel."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from pathlib import Path

from harness.kernels import HOST, Kernel, module_missing, modules_folder

__all__ = ["why_no_bcache"]

BTF_SECTION = b"\0.BTF\0"
"""Among the names of a module's sections."""


def why_no_bcache(kernel: Kernel) -> Sequence[str]:
    """Return every reason why bcache cannot be recorded on a kernel; none if it can."""
    if module_missing(kernel, ["bcache"]):
        return [f"{kernel.name} has no bcache: use a kernel built with CONFIG_BCACHE, debian:6.12 has it"]
    if kernel.name == HOST:
        # A set would stay registered if recording were killed, and nobody else's may be there meanwhile.
        return ["bcache is recorded in guests only: give --kernel debian:6.12"]
    module = _module(kernel)
    if module is None:
        # The kernel has a `struct bucket` of its own (kernel/bpf/hashtab.c): BTF does not say which is which.
        return [f"{kernel.name} has bcache built in: use a kernel that has it as a module, as debian:6.12"]
    if BTF_SECTION not in _bytes(module):
        return [f"{kernel.name}: its bcache has no BTF, so nobody knows its structures: use debian:6.12"]
    return []


def _module(kernel: Kernel) -> Path | None:
    """Return the module's file; None where bcache is built in."""
    folder = modules_folder(kernel.modules or Path("/"), kernel.release)
    return next(iter(sorted(folder.rglob("bcache.ko*"))), None) if folder else None


def _bytes(module: Path) -> bytes:
    data = module.read_bytes()
    return lzma.decompress(data) if module.suffix == ".xz" else data
