# SPDX-License-Identifier: GPL-2.0-or-later
"""A loop device on a sparse backing file, both in the journal."""

from __future__ import annotations

from pathlib import Path

from loopdevs.journal import LoopEntry
from loopdevs.ledger import Ledger
from loopdevs.loop import BackingFile, attach

__all__ = ["make_device"]


def make_device(ledger: Ledger, name: str, size: int) -> tuple[Path, Path]:
    """Make the backing file `name` of `size` bytes and a loop device on it; return file and device."""
    file = ledger.make_sparse_file(name, size)
    backing = BackingFile.of(file)
    ledger.record(LoopEntry(name, backing.device, backing.inode))
    return file, attach(backing)
