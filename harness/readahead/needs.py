# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether readaheads can be recorded on a kernel, and the module for it."""

from __future__ import annotations

import lzma
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import UserError
from harness.kernels import HOST, Kernel, modules_folder
from harness.kernels.headers import headers_for
from harness.readahead.module import build, module_file

__all__ = ["why_no_readahead"]

SYMBOL = b"btrfs_reada_add"
GONE = "has no fs/btrfs/reada.c (in mainline from 3.2 to 5.16, commit f26c9238 removed it)"


def why_no_readahead(kernel: Kernel) -> Sequence[str]:
    """Return why readaheads cannot be recorded on `kernel`; without a reason, its module is built then."""
    if kernel.name == HOST:
        if "btrfs_reada_add" not in Path("/proc/kallsyms").read_text():
            return [f"{kernel.release} {GONE}"]
        return ["the module is loaded into guests only: give --kernel debian:5.10"]
    btrfs = _btrfs_module(kernel)
    if btrfs is None:
        return [
            f"{kernel.name}: of a btrfs that is no module in a file, nobody can tell whether it has reada.c"
        ]
    if SYMBOL not in _bytes(btrfs):
        return [f"{kernel.release} {GONE}"]
    if not module_file(kernel.release).exists():
        try:
            build(kernel.release, headers_for(kernel.release, _say))
        except UserError as error:
            return [f"the readahead module cannot be built: {error}"]
    return []


def _btrfs_module(kernel: Kernel) -> Path | None:
    folder = modules_folder(kernel.modules or Path("/"), kernel.release)
    return next(iter(sorted(folder.rglob("btrfs.ko*"))), None) if folder else None


def _bytes(module: Path) -> bytes:
    data = module.read_bytes()
    return lzma.decompress(data) if module.suffix == ".xz" else data


def _say(line: str) -> None:
    print(f"iodiff: {line}", file=sys.stderr)
