# SPDX-License-Identifier: GPL-2.0-or-later
"""Rotational disks: a loop device of this machine, or a socket for a guest's drive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from loopdevs.journal import Entry, FileEntry, LoopEntry, MountEntry
from loopdevs.ledger import Ledger
from loopdevs.loop import BackingFile, attach, mark_rotational
from loopdevs.rotational.layout import RotationalLayout
from loopdevs.rotational.names import IMAGE, POINT, SERVED, SOCKET
from loopdevs.rotational.served import ServedRequest, read_served
from loopdevs.rotational.server import Front, Server

__all__ = ["RotationalDevice", "RotationalDrive"]


class _Disk:
    """A disk in use, blank at first; leaving it as a context removes it."""

    _front: Front

    def __init__(self, ledger: Ledger, name: str, layout: RotationalLayout) -> None:
        """Make it, in the new folder `name`; on failure nothing is left behind."""
        self.layout = layout
        self._ledger = ledger
        self._name = name
        self._folder = ledger.directory / name
        self._server: Server | None = None
        first = len(ledger.entries)
        try:
            with ledger.rollback():
                self._make()
        except BaseException:
            self.reap()
            raise
        self._entries: list[Entry] = list(ledger.entries[first:])

    def served(self) -> list[ServedRequest]:
        """Return the requests that it has done by now, in that order; times in the disk's ns."""
        return read_served(self._folder / SERVED)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Answer everything at once inside, and note nothing: to fill it with what is to be measured."""
        assert self._server is not None
        self._server.tell(timed=False)
        try:
            yield
        finally:
            self._server.tell(timed=True)

    def destroy(self) -> None:
        """Remove it; LoopdevsError while something stands on it. Again does nothing."""
        self._ledger.undo(self._entries)
        self.reap()

    def reap(self) -> None:
        """Collect its process, which has been ended."""
        if self._server:
            self._server.reap()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    def _make(self) -> None:
        self._ledger.record(FileEntry(self._name))
        self._folder.mkdir(mode=0o700)
        with (self._folder / IMAGE).open("xb") as image:
            image.truncate(self.layout.size_bytes)
        self._server = Server(self._ledger, self._name, self._front, self.layout)


class RotationalDevice(_Disk):
    """A loop device that takes as long as the disk: a file that FUSE serves is under it."""

    _front = "fuse"
    device: Path
    """The loop device."""

    def _make(self) -> None:
        super()._make()
        assert self._server is not None
        point = self._folder / POINT
        point.touch(mode=0o600)
        self._ledger.record(MountEntry(f"{self._name}/{POINT}"))
        self._server.go()
        backing = BackingFile.of(point)
        self._ledger.record(LoopEntry(f"{self._name}/{POINT}", backing.device, backing.inode))
        self.device = attach(backing)
        mark_rotational(self.device)


class RotationalDrive(_Disk):
    """A disk that speaks NBD, for a guest that QEMU connects to it; needs no root."""

    _front = "nbd"

    @property
    def socket(self) -> Path:
        """Where it is to be reached, by one client after the other."""
        return self._folder / SOCKET

    def _make(self) -> None:
        super()._make()
        assert self._server is not None
        self._server.go()
