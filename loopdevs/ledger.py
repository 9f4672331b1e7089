# SPDX-License-Identifier: GPL-2.0-or-later
"""What the parts of a run share: its directory, its lock, its journal, and undoing from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loopdevs.deadline import Deadline
from loopdevs.errors import LoopdevsError, NotOursError
from loopdevs.journal import DirectoryEntry, Entry, FileEntry, Journal, private_path
from loopdevs.marker import Marker
from loopdevs.scene import Scene
from loopdevs.tools import run_tool
from loopdevs.undo import CleanReport, undo_all

__all__ = ["UNDO_DEADLINE_S", "Ledger"]

UNDO_DEADLINE_S = 15.0
"""How long an undo waits for what is still busy, s."""


class Ledger:
    """The record of a run that is alive, held under its lock."""

    def __init__(self, directory: Path, marker: Marker, lock: int) -> None:
        """Begin the journal in `directory`, whose marker is locked by the descriptor `lock`."""
        self.directory = directory
        self.marker = marker
        self._lock = lock
        self._journal = Journal(directory)

    @property
    def entries(self) -> Sequence[Entry]:
        """All entries so far, oldest first."""
        return self._journal.entries

    def record(self, entry: Entry) -> None:
        """Write down what is about to be done; LoopdevsError when that is not possible."""
        self._journal.record(entry)

    def make_directory(self, name: str) -> Path:
        """Record and make a directory."""
        self.record(DirectoryEntry(name))
        path = private_path(self.directory, name)
        path.mkdir(mode=0o700)
        return path

    def make_sparse_file(self, name: str, size: int) -> Path:
        """Record and make a file of `size` bytes that takes no space yet."""
        self.record(FileEntry(name))
        path = private_path(self.directory, name)
        path.touch(mode=0o600, exist_ok=False)
        os.truncate(path, size)
        return path

    def member(self, device: Path) -> str:
        """Return the name in the journal of a device of ours; NotOursError when it is none."""
        name = self._scene().name_of(device)
        if name is None:
            raise NotOursError(f"{device} was not made by this run nor handed to it: left alone")
        return name

    def is_ours(self, device: Path) -> bool:
        """Return whether `device` is in the journal."""
        return self._scene().name_of(device) is not None

    def run_tool(self, name: str, arguments: Sequence[str | Path], text: str = "") -> None:
        """Run a tool that counts as part of the run; see `loopdevs.tools.run_tool`."""
        run_tool(name, arguments, self._lock, text)

    def undo(self, entries: Sequence[Entry], deadline_s: float = UNDO_DEADLINE_S) -> CleanReport:
        """Undo some of the entries; LoopdevsError gives the first failure, which the others follow from."""
        report = undo_all(entries, self._scene(), Deadline(deadline_s))
        if report.failed:
            more = f" ({len(report.failed)} things are left)" if len(report.failed) > 1 else ""
            raise LoopdevsError(report.failed[0] + more)
        return report

    @contextmanager
    def rollback(self) -> Iterator[None]:
        """Undo what was recorded inside when the block fails; OSError becomes a LoopdevsError."""
        before = len(self.entries)
        try:
            yield
        except BaseException as error:
            left = self._undo_quietly(self.entries[before:])
            if isinstance(error, OSError):
                raise LoopdevsError(f"{error.filename}: {error.strerror}{left}") from None
            if isinstance(error, LoopdevsError) and left:
                raise type(error)(f"{error}{left}") from None
            raise

    def release(self) -> None:
        """Drop the lock."""
        os.close(self._lock)

    def _scene(self) -> Scene:
        return Scene.of(self.directory, self.marker, self.entries)

    def _undo_quietly(self, entries: Sequence[Entry]) -> str:
        try:
            self.undo(entries)
        except LoopdevsError as error:
            return f"; and left behind: {error}"
        return ""
