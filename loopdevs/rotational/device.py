# SPDX-License-Identifier: GPL-2.0-or-later
"""Rotational disks: a loop device of this machine, or a socket for a guest's drive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from loopdevs.errors import LoopdevsError
from loopdevs.journal import Entry, FileEntry, LoopEntry, MountEntry
from loopdevs.ledger import Ledger
from loopdevs.loop import BackingFile, attach, mark_rotational
from loopdevs.rotational.copying import copy_data
from loopdevs.rotational.failing import Failing, FailingBlocks
from loopdevs.rotational.layout import RotationalLayout
from loopdevs.rotational.names import FAILING, IMAGE, POINT, SERVED, SOCKET
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

    def load(self, image: Path) -> None:
        """Put on it what is in a file, sparse or not; only before anything else is done with the disk.

        LoopdevsError when the file is larger than the disk, or cannot be copied.
        """
        if (size := image.stat().st_size) > self.layout.size_bytes:
            raise LoopdevsError(
                f"{image} has {size} bytes, the disk {self.layout.size_bytes}: make it larger"
            )
        try:
            copy_data(image, self.image)
        except OSError as error:
            raise LoopdevsError(f"{image} cannot be put on the disk: {error.strerror}") from None

    def fail(self, byte: int, nbytes: int, failing: Failing) -> None:
        """Have requests for any block of the range fail (EIO) in that way, or in none, from now on."""
        self._failing.put(byte, nbytes, failing)

    @property
    def image(self) -> Path:
        """The file that has its data."""
        return self._folder / IMAGE

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Answer everything at once inside, and note nothing: to fill it with what is to be measured."""
        assert self._server is not None
        self.stop_time()
        try:
            yield
        finally:
            self._server.tell(timed=True)

    def stop_time(self) -> None:
        """Answer everything at once from now on, as inside `at_once`."""
        assert self._server is not None
        self._server.tell(timed=False)

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
        with self.image.open("xb") as image:
            image.truncate(self.layout.size_bytes)
        self._failing = FailingBlocks.make(self._folder / FAILING, self.layout.size_bytes)
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

    def load(self, image: Path) -> None:
        """See the base; what the kernel has read of the blank disk (for udev) is dropped."""
        super().load(image)
        descriptor = os.open(self.device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


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
