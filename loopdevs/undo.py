# SPDX-License-Identifier: GPL-2.0-or-later
"""Undoing journal entries.

An entry is a claim, not a proof: each undo first looks at what is there, makes sure that it is what the run
made, and only then removes it. So undoing twice, undoing what never happened, and undoing what somebody has
replaced meanwhile all do no harm. What others depend on stays while they stand: a backing file while a loop
device is on it, a loop device while it is mounted.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loopdevs.bcache_control import release
from loopdevs.cgroups import lift, remove_group
from loopdevs.control import forget_device, where_mounted
from loopdevs.deadline import Deadline
from loopdevs.errors import LoopdevsError, NotOursError
from loopdevs.journal import (
    BcacheEntry,
    CgroupEntry,
    DirectoryEntry,
    DriveEntry,
    Entry,
    FileEntry,
    LoopEntry,
    MapperEntry,
    MountEntry,
    ProcessEntry,
    ScanEntry,
    ServerEntry,
    TracingEntry,
    private_path,
)
from loopdevs.loop import attached_below, detach
from loopdevs.mapper_control import remove_mapped, wake
from loopdevs.mounts import mount_at, mounts_below, unmount
from loopdevs.processes import end_group
from loopdevs.rotational.hurry import hurry_or_kill
from loopdevs.scene import Scene
from loopdevs.superblocks import wipe
from loopdevs.tracing import MOUNT_NAME, mount_source, remove_instance

__all__ = ["CleanReport", "undo_all"]


@dataclass(frozen=True)
class CleanReport:
    """What was undone and what was not, a line each."""

    undone: tuple[str, ...] = ()
    """What was there and is gone now."""
    failed: tuple[str, ...] = ()
    """What is left, with the reason."""
    skipped: tuple[str, ...] = ()
    """Work directories that are in use by live runs."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left that should be gone."""
        return not self.failed

    def lines(self) -> list[str]:
        """Return all of it for a reader, a line each."""
        left = [f"left: {line}" for line in self.failed]
        skipped = [f"skipped: {line}" for line in self.skipped]
        return [*self.undone, *skipped, *left] or ["nothing to undo"]

    def __add__(self, other: CleanReport) -> CleanReport:
        return CleanReport(
            self.undone + other.undone, self.failed + other.failed, self.skipped + other.skipped
        )


def undo_all(entries: Sequence[Entry], scene: Scene, deadline: Deadline) -> CleanReport:
    """Undo `entries`, newest first, and report. Processes go before all: they hold what the others are."""
    newest_first = list(reversed(entries))
    woken = _wake(entries, scene)
    _hurry(entries, scene, deadline)
    processes = [e for e in newest_first if isinstance(e, ProcessEntry)]
    others = [e for e in newest_first if not isinstance(e, ProcessEntry)]
    undone = list(woken.undone)
    failed = list(woken.failed)
    for entry in processes + others:
        try:
            undone += _undo(entry, scene, deadline)
        except LoopdevsError as error:
            failed.append(str(error))
        except OSError as error:
            failed.append(f"{error.filename or entry}: {error.strerror}")
    return CleanReport(tuple(undone), tuple(dict.fromkeys(failed)))


def _wake(entries: Sequence[Entry], scene: Scene) -> CleanReport:
    """Resume mapped devices that are suspended: who waits for one, a mount too, cannot be ended before."""
    undone = []
    failed = []
    for name in {entry.name: None for entry in entries if isinstance(entry, MapperEntry)}:
        try:
            undone += [f"resumed mapped device {name}"] if wake(name, scene.marker.token) else []
        except LoopdevsError as error:
            failed.append(str(error))
    return CleanReport(tuple(undone), tuple(failed))


def _hurry(entries: Sequence[Entry], scene: Scene, deadline: Deadline) -> None:
    """Have devices answer at once: unmounting writes out what there is, which takes minutes at their pace."""
    for entry in entries:
        if isinstance(entry, CgroupEntry):
            with suppress(NotOursError):
                lift(entry.name, scene.marker.token)
        if isinstance(entry, ServerEntry) and _of_this_run(entry, scene):
            hurry_or_kill(entry, private_path(scene.directory, entry.name), deadline)


def _undo(entry: Entry, scene: Scene, deadline: Deadline) -> list[str]:
    """Undo one entry; return what was done. LoopdevsError or OSError when it could not be."""
    match entry:
        case ProcessEntry() | ServerEntry():
            done = _undo_process(entry, scene, deadline)
        case TracingEntry():
            done = _undo_instance(entry, scene, deadline)
        case MountEntry():
            done = _undo_mount(private_path(scene.directory, entry.name), scene, deadline)
        case ScanEntry():
            done = _undo_scan(entry, scene, deadline)
        case BcacheEntry():
            done = _undo_bcache(entry, scene, deadline)
        case MapperEntry():
            removed = remove_mapped(entry.name, scene.marker.token, deadline)
            done = [f"removed mapped device {entry.name}"] if removed else []
        case CgroupEntry():
            removed = remove_group(entry.name, scene.marker.token, deadline)
            done = [f"removed control group {entry.name}"] if removed else []
        case DriveEntry():
            done = _undo_drive(entry, scene, deadline)
        case LoopEntry():
            done = _undo_loop(entry, scene, deadline)
        case DirectoryEntry():
            done = _undo_directory(private_path(scene.directory, entry.name))
        case FileEntry():
            done = _undo_file(private_path(scene.directory, entry.name))
    return done


def _of_this_run(entry: ProcessEntry | ServerEntry, scene: Scene) -> bool:
    # After another boot the number is somebody else's; what is older than the run is not its descendant.
    return scene.marker.this_boot and entry.start_time >= scene.marker.start_time


def _undo_process(entry: ProcessEntry | ServerEntry, scene: Scene, deadline: Deadline) -> list[str]:
    if not _of_this_run(entry, scene):
        return []
    killed = end_group(entry.pid, entry.start_time, scene.directory, deadline)
    return [f"killed process group {entry.pid}"] if killed else []


def _undo_instance(entry: TracingEntry, scene: Scene, deadline: Deadline) -> list[str]:
    tracefs = scene.directory / MOUNT_NAME
    removed = remove_instance(tracefs, entry.name, scene.marker.token, deadline)
    return [f"removed tracing instance {entry.name}"] if removed else []


def _undo_mount(point: Path, scene: Scene, deadline: Deadline) -> list[str]:
    done = []
    while (mount := mount_at(point)) is not None:
        if not scene.is_ours(mount):
            raise NotOursError(f"{point}: {mount.type} from {mount.source} is mounted there, not by this run")
        # Nothing is looked for on a btrfs: its devices may fail, and then it answers nothing but errors.
        if mount.type == "tracefs" and (instances := list(point.glob(_instances(scene)))):
            raise LoopdevsError(f"{point} is kept: tracing instance {instances[0].name} is still there")
        unmount(point, deadline)
        done.append(f"unmounted {point}")
    return done


def _instances(scene: Scene) -> str:
    return f"instances/{mount_source(scene.marker.token)}-*"


def _devices_of(entry: ScanEntry | LoopEntry | DriveEntry, scene: Scene) -> list[Path]:
    """Return our devices of that name; LoopdevsError while one is mounted."""
    devices = scene.devices(entry.name)
    for device in devices:
        if points := where_mounted(device):
            raise LoopdevsError(f"{device} is mounted at {points[0]}: unmount that and clean again")
    return devices


def _undo_scan(entry: ScanEntry, scene: Scene, deadline: Deadline) -> list[str]:
    devices = [device for device in _devices_of(entry, scene) if forget_device(device, deadline)]
    return [f"made btrfs forget {device}" for device in devices]


def _undo_bcache(entry: BcacheEntry, scene: Scene, deadline: Deadline) -> list[str]:
    # Removing the loop or mapped device would wait for bcache for ever; a drive that keeps its superblock
    # would come back with the next event.
    devices = scene.devices(entry.name)
    stopped = [d for d in devices if release(d, lambda other: scene.name_of(other) is not None, deadline)]
    return [f"stopped bcache on {device}" for device in stopped]


def _undo_drive(entry: DriveEntry, scene: Scene, deadline: Deadline) -> list[str]:
    return [f"wiped {device}" for device in _devices_of(entry, scene) if wipe(device, deadline)]


def _undo_loop(entry: LoopEntry, scene: Scene, deadline: Deadline) -> list[str]:
    done = []
    for device in _devices_of(entry, scene):
        detach(device, scene.backing[entry.name], deadline)
        done.append(f"detached {device} from {scene.backing[entry.name].path}")
    return done


def _undo_directory(path: Path) -> list[str]:
    if path.is_symlink():
        raise NotOursError(f"{path} is a symbolic link, not the directory that was made: left alone")
    try:
        path.rmdir()
    except FileNotFoundError:
        return []
    return [f"removed {path}"]


def _undo_file(path: Path) -> list[str]:
    if devices := attached_below(path):
        raise LoopdevsError(f"{path} is kept: {devices[0]} still stands on it")
    if below := mounts_below(path):
        raise LoopdevsError(f"{path} is kept: something is mounted at {below[0].point}")
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return []
    return [f"removed {path}"]
