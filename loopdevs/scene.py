# SPDX-License-Identifier: GPL-2.0-or-later
"""Which devices are ours, as the journal claims and the kernel confirms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loopdevs.control import numbers_of
from loopdevs.drives import attached_drive
from loopdevs.errors import NotOursError
from loopdevs.journal import DriveEntry, Entry, LoopEntry, MapperEntry, private_path
from loopdevs.loop import BackingFile, attached_to
from loopdevs.mapper_control import find_mapped
from loopdevs.marker import Marker
from loopdevs.mounts import Mount
from loopdevs.tracing import mount_source

__all__ = ["Scene"]


@dataclass(frozen=True)
class Scene:
    """What the undo of an entry may rely on."""

    directory: Path
    """The work directory, without symbolic links."""
    marker: Marker
    backing: dict[str, BackingFile]
    """The journaled backing files by name."""
    others: dict[str, DriveEntry | MapperEntry]
    """The journaled drives and mapped devices by name."""

    @classmethod
    def of(cls, directory: Path, marker: Marker, entries: Sequence[Entry]) -> Scene:
        """Collect the devices; loop entries with a name that leads out of `directory` give none."""
        backing = {}
        for entry in entries:
            if isinstance(entry, LoopEntry):
                try:
                    path = private_path(directory, entry.name)
                except NotOursError:
                    continue
                backing[entry.name] = BackingFile(path, entry.device, entry.inode)
        others = {entry.name: entry for entry in entries if isinstance(entry, DriveEntry | MapperEntry)}
        return cls(directory, marker, backing, others)

    def devices(self, name: str) -> list[Path]:
        """Return what the journal calls `name` and the kernel has now.

        NotOursError when the name is not one that a run of ours could have written.
        """
        match self.others.get(name):
            case DriveEntry():
                device = attached_drive(name)
            case MapperEntry():
                device = find_mapped(name, self.marker.token)
            case None:
                private_path(self.directory, name)
                return attached_to(self.backing[name]) if name in self.backing else []
        return [device] if device else []

    def name_of(self, device: Path) -> str | None:
        """Return the name of a device of ours in the journal."""
        return next((name for name, ours in self._all().items() if device in ours), None)

    def is_ours(self, mount: Mount) -> bool:
        """Return whether what is mounted is btrfs on a device of ours, or is under our token."""
        if mount.type in ("tracefs", "fuse"):
            return mount.source == mount_source(self.marker.token)
        # The source of a mapped device has several spellings.
        ours = numbers_of(device for devices in self._all().values() for device in devices)
        return mount.type == "btrfs" and bool(numbers_of([Path(mount.source)]) & ours)

    def _all(self) -> dict[str, list[Path]]:
        found = {}
        for name in (*self.backing, *self.others):
            try:
                found[name] = self.devices(name)
            except NotOursError:
                continue
        return found
