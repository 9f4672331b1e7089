# SPDX-License-Identifier: GPL-2.0-or-later
"""The work directory of one run, and everything that the run makes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from loopdevs.bcache import Bcache
from loopdevs.bcache_layout import BcacheLayout
from loopdevs.btrfs import BtrfsFilesystem
from loopdevs.cgroups import Limits, group_name
from loopdevs.deadline import Deadline
from loopdevs.devices import make_device
from loopdevs.directories import absolute, occupy, vacate
from loopdevs.drives import find_drive
from loopdevs.errors import LoopdevsError
from loopdevs.journal import (
    JOURNAL_FILE,
    DriveEntry,
    FileEntry,
    MountEntry,
    ProcessEntry,
    TracingEntry,
    private_path,
)
from loopdevs.layout import BtrfsLayout
from loopdevs.ledger import UNDO_DEADLINE_S, Ledger
from loopdevs.mapper import Mapper
from loopdevs.mapper_control import mapper_name
from loopdevs.mapper_table import Segment
from loopdevs.marker import MARKER_FILE
from loopdevs.mounts import mount_at
from loopdevs.processes import process, process_start_time
from loopdevs.rotational.device import RotationalDevice, RotationalDrive
from loopdevs.rotational.layout import RotationalLayout
from loopdevs.space import check_space
from loopdevs.superblocks import discard, wipe
from loopdevs.throttle import Throttle
from loopdevs.tracing import MOUNT_NAME, instance_name, make_instance, mount_source
from loopdevs.undo import CleanReport

__all__ = ["Workspace"]

BCACHE = "bcache-"
BTRFS = "btrfs-"
LOOP = "loop-"
ROTATIONAL = "rotational-"


class Workspace:
    """A claimed work directory; `close` (or leaving the context) undoes all that was made through it."""

    def __init__(self, ledger: Ledger) -> None:
        """Use `create`."""
        self._ledger = ledger
        self._made = 0
        self._disks: list[RotationalDevice | RotationalDrive] = []
        self._open = True

    @classmethod
    def create(cls, directory: Path, *, minimum_bytes: int = 0) -> Workspace:
        """Make `directory`, or take an empty one, for one run.

        LoopdevsError when it is not empty, a symbolic link, no directory, in use by a run that is alive, left
        by a killed one, or on a file system with less than `minimum_bytes` free.
        """
        directory = absolute(directory)
        check_space(directory, minimum_bytes)
        try:
            marker, lock = occupy(directory)
        except OSError as error:
            raise LoopdevsError(f"{directory} cannot be used: {error.strerror}") from None
        try:
            ledger = Ledger(directory, marker, lock)
        except OSError as error:
            vacate(directory, created=marker.created)
            os.close(lock)
            raise LoopdevsError(f"{directory}: no journal can be written: {error.strerror}") from None
        return cls(ledger)

    @property
    def directory(self) -> Path:
        """The work directory, absolute."""
        return self._ledger.directory

    def check_space(self, minimum_bytes: int) -> None:
        """Raise LoopdevsError, with figures, when less than `minimum_bytes` are free for what is made."""
        check_space(self.directory, minimum_bytes)

    def btrfs(self, layout: BtrfsLayout, devices: Sequence[Path] = ()) -> BtrfsFilesystem:
        """Make a btrfs file system, not mounted; LoopdevsError when that fails, with nothing left behind.

        It stands on loop devices, or on as many other `devices` of this workspace.
        """
        return BtrfsFilesystem(self._ledger, f"{BTRFS}{self._next()}", layout, devices)

    def bcache(
        self,
        layout: BcacheLayout,
        *,
        backing: Path | None = None,
        cache: Path | None = None,
        start: bool = True,
    ) -> Bcache:
        """Make a bcache device, attached to its cache; LoopdevsError as in `btrfs`.

        It stands on loop devices, or on the other devices of this workspace that are given. Without `start`
        the kernel is not shown them yet.
        """
        return Bcache(self._ledger, f"{BCACHE}{self._next()}", layout, backing, cache, start=start)

    def mapper(self, segments: Sequence[Segment]) -> Mapper:
        """Make a mapped device over devices of this workspace; LoopdevsError as in `btrfs`."""
        return Mapper(self._ledger, mapper_name(self._ledger.marker.token, self._next()), segments)

    def drive(self, serial: str) -> Path:
        """Take the virtio drive that was handed to this guest with that serial; what is on it is lost.

        Again does the same, when nothing stands on it any more. NotOursError when there is none, or the
        serial is not of the form iodiff-NN.
        """
        device = find_drive(serial)
        with self._ledger.rollback():
            if DriveEntry(serial) not in self._ledger.entries:
                self._ledger.record(DriveEntry(serial))
            discard(device, Deadline(UNDO_DEADLINE_S))
            wipe(device, Deadline(UNDO_DEADLINE_S))
        return device

    def loop_device(self, size_bytes: int) -> Path:
        """Make a bare loop device on a sparse file and return it; LoopdevsError as in `btrfs`."""
        with self._ledger.rollback():
            return make_device(self._ledger, f"{LOOP}{self._next()}.img", size_bytes)[1]

    def rotational_device(self, layout: RotationalLayout) -> RotationalDevice:
        """Make a loop device that takes as long as a disk would; LoopdevsError as in `btrfs`."""
        disk = RotationalDevice(self._ledger, f"{ROTATIONAL}{self._next()}", layout)
        self._disks.append(disk)
        return disk

    def rotational_drive(self, layout: RotationalLayout) -> RotationalDrive:
        """Make a disk on a socket, for a guest; LoopdevsError as in `btrfs`."""
        disk = RotationalDrive(self._ledger, f"{ROTATIONAL}{self._next()}", layout)
        self._disks.append(disk)
        return disk

    def throttle(self, devices: Sequence[Path], limits: Limits) -> Throttle:
        """Make a group of processes that are held to limits on devices of this workspace.

        LoopdevsError as in `btrfs`, and where the kernel throttles no I/O.
        """
        return Throttle(self._ledger, group_name(self._ledger.marker.token, self._next()), devices, limits)

    def path(self, name: str) -> Path:
        """Return the path of a private file or folder, removed at the end; the same name, the same path."""
        reserved = ("", ".", "..", MARKER_FILE, JOURNAL_FILE, MOUNT_NAME)
        if name in reserved or name.startswith((BCACHE, BTRFS, LOOP, ROTATIONAL)):
            raise LoopdevsError(f"{name!r} is not a name for a private file: choose another one")
        if "/" in name:
            raise LoopdevsError(f"{name!r} has a slash: give a plain name, and make folders below it")
        if FileEntry(name) not in self._ledger.entries:
            self._ledger.record(FileEntry(name))
        return private_path(self.directory, name)

    def tracing(self) -> Path:
        """Make a tracefs instance of our own, under a tracefs mount of our own, and return its path."""
        name = instance_name(self._ledger.marker.token, self._next())
        with self._ledger.rollback():
            tracefs = self._mount_tracefs()
            self._ledger.record(TracingEntry(name))
            return make_instance(tracefs, name)

    def process_group(self, pid: int, start_time: int | None = None) -> None:
        """Record the group led by process `pid`, which began `start_time` ticks after boot, to be killed.

        Without `start_time` the process must exist. LoopdevsError when it does not lead a group.
        """
        start_time = process_start_time(pid) if start_time is None else start_time
        leader = process(pid)
        if leader and (leader.start_time != start_time or leader.group != pid):
            raise LoopdevsError(f"process {pid} does not lead a group of its own: start it in a new session")
        self._ledger.record(ProcessEntry(pid, start_time))

    def start(
        self,
        arguments: Sequence[str | Path],
        *,
        stdout: IO[bytes] | int = subprocess.DEVNULL,
        stderr: IO[bytes] | int = subprocess.DEVNULL,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a tool in a process group of its own that is in the journal before the tool runs.

        The shell in between waits for our word: should we be killed before the group is recorded, it ends.
        """
        child = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r word && exec "$@" </dev/null', "sh", *arguments],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            start_new_session=True,
        )
        assert child.stdin is not None
        with child.stdin as pipe:
            self.process_group(child.pid)
            pipe.write(b"go\n")
        child.stdin = None
        return child

    def close(self, deadline_s: float = UNDO_DEADLINE_S) -> CleanReport:
        """Undo everything, newest first, and give the directory up; again does nothing.

        LoopdevsError says what could not be undone; the directory stays then, for `clean` to try again.
        """
        if not self._open:
            return CleanReport()
        self._open = False
        try:
            report = self._ledger.undo(self._ledger.entries, deadline_s)
            for disk in self._disks:
                disk.reap()
            vacate(self.directory, created=self._ledger.marker.created)
        finally:
            self._ledger.release()
        return report

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next(self) -> int:
        """Return a number that no other thing of this run has."""
        self._made += 1
        return self._made - 1

    def _mount_tracefs(self) -> Path:
        point = private_path(self.directory, MOUNT_NAME)
        if mount_at(point) is None:
            self._ledger.make_directory(MOUNT_NAME)
            self._ledger.record(MountEntry(MOUNT_NAME))
            source = mount_source(self._ledger.marker.token)
            self._ledger.run_tool("mount", ["-i", "-t", "tracefs", source, point])
        return point
