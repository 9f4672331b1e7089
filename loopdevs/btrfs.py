# SPDX-License-Identifier: GPL-2.0-or-later
"""A btrfs file system on devices of ours."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from loopdevs.control import forget_device
from loopdevs.deadline import Deadline
from loopdevs.devices import make_device
from loopdevs.errors import LoopdevsError
from loopdevs.journal import Entry, MountEntry, ScanEntry
from loopdevs.layout import BtrfsLayout, check_mount_options
from loopdevs.ledger import UNDO_DEADLINE_S, Ledger
from loopdevs.loop import never_merge, uses_direct_io
from loopdevs.mounts import mount_at, mount_holding
from loopdevs.profiles import check_profiles
from loopdevs.rotational.device import RotationalDevice
from loopdevs.rotational.layout import RotationalLayout
from loopdevs.space import check_space
from loopdevs.superblocks import wipe

__all__ = ["BtrfsFilesystem"]

MKFS_BYTES = 16 * 1024**2
"""More than mkfs.btrfs writes to one device."""


class BtrfsFilesystem:
    """A fresh btrfs on loop devices, or on other devices of ours; leaving it as a context destroys it."""

    def __init__(self, ledger: Ledger, name: str, layout: BtrfsLayout, given: Sequence[Path] = ()) -> None:
        """Make all of it in the new folder `name`, not mounted; on failure nothing is left behind.

        With `given` devices (of ours, as many as the layout has), no loop devices are made. Of each only the
        layout's size is used.
        """
        if given and len(given) != layout.devices:
            raise LoopdevsError(f"the layout has {layout.devices} devices, {len(given)} are given")
        check_profiles(layout)
        self.layout = layout
        self.fsid = str(uuid.uuid4())
        self._ledger = ledger
        self.disks: list[RotationalDevice] = []
        """What the devices stand on if the layout says that they can fail, in their order."""
        first = len(ledger.entries)
        with self._disks_reaped(), ledger.rollback():
            ledger.make_directory(name)
            self._mount_name = f"{name}/mnt"
            self.mountpoint = ledger.make_directory(self._mount_name)
            """Where it is or will be mounted, inside the work directory."""
            if layout.can_fail and not given:
                given = [self._make_disk(f"{name}/disk-{i}") for i in range(layout.devices)]
            names = [] if given else [f"{name}/device-{i}.img" for i in range(layout.devices)]
            members = [self._make_device(name) for name in names]
            self.backing_files = tuple(file for file, _ in members) or tuple(d.image for d in self.disks)
            """The files that have the devices' data; none for given devices."""
            self.devices = tuple(device for _, device in members) or self._take(given)
            self._make_filesystem(size_given=bool(given or layout.room_bytes))
        self.direct_io = all(uses_direct_io(device) for _, device in members) if members else None
        """Whether every loop device does direct I/O on its backing file; None for given devices."""
        self.backing = mount_holding(ledger.directory).type if members else None
        """Type of the file system that the loop devices' files lie on; None for given devices."""
        self._entries: list[Entry] = list(ledger.entries[first:])

    def mount(self, options: Sequence[str] | None = None, *, without: Sequence[Path] = ()) -> None:
        """Mount, with `options` instead of the layout's if given; LoopdevsError when the kernel refuses.

        The kernel is made to forget the devices `without` before, so that they are missing.
        """
        if self.mounted:
            raise LoopdevsError(f"{self.mountpoint} is mounted already")
        chosen = self.layout.mount_options if options is None else tuple(options)
        check_mount_options(chosen)
        first, *others = [device for device in self.devices if device not in without]
        members = [f"device={device}" for device in others]
        for device in without:
            forget_device(device, Deadline(UNDO_DEADLINE_S))
        mount_options = ["-o", ",".join([*chosen, *members])] if chosen or members else []
        with self._ledger.rollback():
            self._ledger.record(self._mount_entry)
            self._entries.append(self._mount_entry)
            self._ledger.run_tool("mount", ["-i", "-t", "btrfs", *mount_options, first, self.mountpoint])

    def umount(self, deadline_s: float = UNDO_DEADLINE_S) -> None:
        """Unmount if mounted, waiting while busy; LoopdevsError says who holds it after `deadline_s`."""
        self._ledger.undo([self._mount_entry], deadline_s)

    @property
    def mounted(self) -> bool:
        """Whether something is mounted at the mount point."""
        return mount_at(self.mountpoint) is not None

    def destroy(self) -> None:
        """Unmount, make the kernel forget the devices, detach them, remove the files; again does nothing."""
        self._ledger.undo(self._entries)
        self._reap()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    @property
    def _mount_entry(self) -> MountEntry:
        return MountEntry(self._mount_name)

    def _make_disk(self, name: str) -> Path:
        layout = RotationalLayout(self.layout.device_bytes)
        disk = RotationalDevice(self._ledger, name, layout)
        self.disks.append(disk)
        disk.stop_time()
        never_merge(disk.device)
        return disk.device

    def _reap(self) -> None:
        for disk in self.disks:
            disk.reap()

    @contextmanager
    def _disks_reaped(self) -> Iterator[None]:
        """Collect the processes of disks when making them has failed."""
        try:
            yield
        except BaseException:
            self._reap()
            raise

    def _make_device(self, name: str) -> tuple[Path, Path]:
        """Make a backing file and a loop device that btrfs may come to know; return both."""
        member = make_device(self._ledger, name, self.layout.device_bytes)
        # mkfs.btrfs and mount both show the device to the kernel.
        self._ledger.record(ScanEntry(name))
        return member

    def _take(self, devices: Sequence[Path]) -> tuple[Path, ...]:
        """Record that btrfs may come to know the given devices of ours, and make them blank."""
        for device in devices:
            self._ledger.record(ScanEntry(self._ledger.member(device)))
            wipe(device, Deadline(UNDO_DEADLINE_S))
        return tuple(devices)

    def _make_filesystem(self, *, size_given: bool) -> None:
        # A full disk shows in mkfs.btrfs as "Operation not permitted".
        check_space(self._ledger.directory, MKFS_BYTES * len(self.backing_files))
        size = ["-b", str(self.layout.size_bytes)] if size_given else []
        profiles = ["-d", self.layout.data, "-m", self.layout.metadata]
        self._ledger.run_tool(
            "mkfs.btrfs", ["-q", "-U", self.fsid, *size, *profiles, *self.layout.mkfs_options, *self.devices]
        )
