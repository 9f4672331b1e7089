# SPDX-License-Identifier: GPL-2.0-or-later
"""The journal of a work directory: what may exist, written down before it is made.

One JSON object a line. Paths are names relative to the work directory, so an entry cannot speak of anything
outside it. An entry says "this may exist": undoing it looks first, and an action that never happened has
nothing to undo. The last line may be incomplete when the writer was killed; the action it announces had not
begun, so it is ignored.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from loopdevs.errors import LoopdevsError, NotOursError
from loopdevs.records import from_json

__all__ = [
    "JOURNAL_FILE",
    "BcacheEntry",
    "CgroupEntry",
    "DeviceEntry",
    "DirectoryEntry",
    "DriveEntry",
    "Entry",
    "FileEntry",
    "Journal",
    "LoopEntry",
    "MapperEntry",
    "MountEntry",
    "ProcessEntry",
    "ScanEntry",
    "ServerEntry",
    "TracingEntry",
    "parse_journal",
    "private_path",
]

JOURNAL_FILE = "journal.jsonl"


@dataclass(frozen=True)
class FileEntry:
    """A file, or a folder of files, at `name`."""

    name: str


@dataclass(frozen=True)
class DirectoryEntry:
    """A directory of ours that is empty when everything in it has been undone."""

    name: str


@dataclass(frozen=True)
class LoopEntry:
    """A loop device on the backing file `name`, known by its inode: the number comes from the kernel."""

    name: str
    device: int
    inode: int


@dataclass(frozen=True)
class DriveEntry:
    """The virtio drive with the serial number `name`, handed to this guest for us."""

    name: str


@dataclass(frozen=True)
class MapperEntry:
    """A mapped device (device mapper) with the uuid `name`."""

    name: str


@dataclass(frozen=True)
class ScanEntry:
    """The device of the loop, drive or mapper entry `name`, registered with btrfs."""

    name: str


@dataclass(frozen=True)
class BcacheEntry:
    """The device of the loop, drive or mapper entry `name`, registered with bcache."""

    name: str


@dataclass(frozen=True)
class MountEntry:
    """A mount at the directory `name`: btrfs from one of our devices, or tracefs under our token."""

    name: str


@dataclass(frozen=True)
class TracingEntry:
    """A tracefs instance called `name`."""

    name: str


@dataclass(frozen=True)
class ProcessEntry:
    """A process group led by `pid`, which began `start_time` clock ticks after boot."""

    pid: int
    start_time: int


@dataclass(frozen=True)
class CgroupEntry:
    """The control group called `name`, which throttles devices of ours."""

    name: str


@dataclass(frozen=True)
class ServerEntry:
    """The process `pid`, begun `start_time` ticks after boot, that is the disk with the folder `name`.

    It goes when nothing stands on the disk any more, not before all else as other processes do.
    """

    name: str
    pid: int
    start_time: int


DeviceEntry = LoopEntry | DriveEntry | MapperEntry
Entry = (
    FileEntry
    | DirectoryEntry
    | DeviceEntry
    | ScanEntry
    | BcacheEntry
    | MountEntry
    | TracingEntry
    | ProcessEntry
    | ServerEntry
    | CgroupEntry
)

_KINDS: dict[str, type[Entry]] = {
    "file": FileEntry,
    "directory": DirectoryEntry,
    "loop": LoopEntry,
    "drive": DriveEntry,
    "mapper": MapperEntry,
    "btrfs-scan": ScanEntry,
    "bcache": BcacheEntry,
    "mount": MountEntry,
    "tracing-instance": TracingEntry,
    "process": ProcessEntry,
    "server": ServerEntry,
    "cgroup": CgroupEntry,
}
_KIND_OF = {entry_type: kind for kind, entry_type in _KINDS.items()}


class Journal:
    """The journal of a run that is alive."""

    def __init__(self, directory: Path) -> None:
        """Create the file; OSError when that is not possible."""
        self.path = directory / JOURNAL_FILE
        self.entries: list[Entry] = []
        self.path.touch(mode=0o600, exist_ok=False)

    def record(self, entry: Entry) -> None:
        """Write `entry` down so that it survives a crash; LoopdevsError when it cannot be."""
        line = json.dumps({"kind": _KIND_OF[type(entry)], **asdict(entry)}) + "\n"
        with self.path.open("ab", buffering=0) as file:
            length = file.tell()
            try:
                _write_all(file.fileno(), line.encode())
            except OSError as error:
                # Half a line would spoil the next one.
                os.ftruncate(file.fileno(), length)
                raise LoopdevsError(
                    f"{self.path}: cannot be written ({error.strerror}): free space there"
                ) from None
        self.entries.append(entry)


def parse_journal(text: str) -> tuple[list[Entry], list[str]]:
    """Return the entries of a journal, and a reason for each complete line that is not an entry."""
    entries: list[Entry] = []
    refused: list[str] = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            entries.append(_parse_line(line))
        except ValueError as error:
            refused.append(f"{JOURNAL_FILE} line {number}: {error}: left alone")
    return entries, refused


def private_path(directory: Path, name: str) -> Path:
    """Return the path of `name` in `directory`; NotOursError when it would lead out of it."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise NotOursError(f"{name!r} is not a name inside {directory}: left alone")
    path = directory
    for part in parts[:-1]:
        path /= part
        if path.is_symlink():
            raise NotOursError(f"{path} is a symbolic link, which no run makes: left alone")
    return path / parts[-1]


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def _parse_line(line: str) -> Entry:
    data: Any = json.loads(line)
    if not isinstance(data, dict) or data.get("kind") not in _KINDS:
        raise ValueError("not a record of this program")
    return from_json(_KINDS[data.pop("kind")], data)
