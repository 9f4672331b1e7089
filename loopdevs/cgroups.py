# SPDX-License-Identifier: GPL-2.0-or-later
"""Control groups that limit I/O to devices (blk-throttle), in the hierarchy that this machine has for it.

That is either the one of version 2, with its controller io, or the blkio hierarchy of version 1. A group of
ours lies directly below its root; its name tells the run.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loopdevs.deadline import Deadline, retry_while_busy
from loopdevs.errors import LoopdevsError, NotOursError
from loopdevs.mounts import mounts

__all__ = ["Group", "Limits", "group_name", "groups", "lift", "make_group", "remove_group"]

PREFIX = "iodiff-"
PROCESSES = "cgroup.procs"
V2_LIMITS = "io.max"
V1_FILES = {
    "rbps": "blkio.throttle.read_bps_device",
    "wbps": "blkio.throttle.write_bps_device",
    "riops": "blkio.throttle.read_iops_device",
    "wiops": "blkio.throttle.write_iops_device",
}
"""The files of version 1 for the keys of io.max (`throtl_legacy_files`, block/blk-throttle.c)."""


@dataclass(frozen=True)
class Limits:
    """What the processes of a group may do to a device in a second; None for no limit."""

    read_iops: int | None = None
    write_iops: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None

    def __post_init__(self) -> None:
        given = [value for value in self._values().values() if value is not None]
        if not given or min(given) < 1:
            raise LoopdevsError("a throttle needs at least one limit, each of 1 or more a second")

    def keys(self) -> dict[str, int]:
        """Return those that are given, under the keys of io.max."""
        return {key: value for key, value in self._values().items() if value is not None}

    def _values(self) -> dict[str, int | None]:
        return {
            "rbps": self.read_bytes,
            "wbps": self.write_bytes,
            "riops": self.read_iops,
            "wiops": self.write_iops,
        }


@dataclass(frozen=True)
class Group:
    """A group by its folder."""

    folder: Path

    @property
    def limits(self) -> dict[str, list[str]]:
        """The devices (major:minor) that have a limit, by file."""
        files = [self.folder / name for name in (V2_LIMITS, *V1_FILES.values())]
        lines = {file.name: file.read_text().splitlines() for file in files if file.exists()}
        return {name: [line.split()[0] for line in found] for name, found in lines.items()}

    def limit(self, device: Path, limits: Limits) -> None:
        """Set the limits for a device; OSError when the kernel refuses."""
        number = _number(device)
        if (self.folder / V2_LIMITS).exists():
            values = " ".join(f"{key}={value}" for key, value in limits.keys().items())
            (self.folder / V2_LIMITS).write_text(f"{number} {values}")
            return
        for key, value in limits.keys().items():
            (self.folder / V1_FILES[key]).write_text(f"{number} {value}")

    def add(self, pid: int) -> None:
        """Let a process belong to it, with what it does from now on; OSError when the kernel refuses."""
        (self.folder / PROCESSES).write_text(str(pid))

    def pids(self) -> list[int]:
        """Return the processes in it."""
        return [int(line) for line in (self.folder / PROCESSES).read_text().split()]


def group_name(token: str, number: int) -> str:
    """Return the name of the `number`-th group of the run with `token`."""
    return f"{PREFIX}{token}-{number}"


def make_group(name: str) -> Group:
    """Make the group `name`; LoopdevsError when this machine has no hierarchy that limits I/O."""
    usable = [root for root in _roots() if _limits_below(root)]
    if not usable:
        raise LoopdevsError(
            "I/O cannot be throttled here: no cgroup hierarchy with the controller io (version 2) or blkio "
            "(version 1) is mounted, or version 2 has not enabled it (echo +io > cgroup.subtree_control)"
        )
    folder = usable[0] / name
    folder.mkdir()
    if not (folder / V2_LIMITS).exists() and not (folder / V1_FILES["riops"]).exists():
        folder.rmdir()
        raise LoopdevsError("I/O cannot be throttled here: the kernel has no CONFIG_BLK_DEV_THROTTLING")
    return Group(folder)


def groups() -> list[Group]:
    """Return all groups with our prefix, of all runs."""
    return [Group(folder) for root in _roots() for folder in sorted(root.glob(f"{PREFIX}*"))]


def lift(name: str, token: str) -> None:
    """Lift all limits of the group, so that what waits for them goes on; nothing if it is not there."""
    for group in _find(name, token):
        for file, devices in group.limits.items():
            for device in devices:
                nothing = " ".join(f"{key}=max" for key in V1_FILES) if file == V2_LIMITS else "0"
                with suppress(OSError):
                    (group.folder / file).write_text(f"{device} {nothing}")


def remove_group(name: str, token: str, deadline: Deadline) -> bool:
    """Remove the group, after moving who is still in it to the root; return whether it was there."""
    found = _find(name, token)
    for group in found:
        try:
            retry_while_busy(lambda group=group: _remove(group), deadline)  # type: ignore[misc]
        except FileNotFoundError:
            continue
        except OSError as error:
            why = f"busy for {deadline.seconds:g} s" if error.errno == errno.EBUSY else error.strerror
            raise LoopdevsError(f"control group {group.folder} cannot be removed: {why}") from None
    return bool(found)


def _remove(group: Group) -> None:
    for pid in group.pids():
        # It may end meanwhile.
        with suppress(ProcessLookupError):
            Group(group.folder.parent).add(pid)
    group.folder.rmdir()


def _find(name: str, token: str) -> list[Group]:
    if not re.fullmatch(rf"{PREFIX}{re.escape(token)}-[0-9]+", name):
        raise NotOursError(f"control group {name!r} is not of this run: left alone")
    return [group for group in groups() if group.folder.name == name]


def _roots() -> Iterator[Path]:
    return (mount.point for mount in mounts() if mount.type in ("cgroup", "cgroup2"))


def _limits_below(root: Path) -> bool:
    """Return whether groups below that root can limit I/O."""
    enabled = root / "cgroup.subtree_control"
    if enabled.exists():
        return "io" in enabled.read_text().split()
    return (root / V1_FILES["riops"]).exists()


def _number(device: Path) -> str:
    number = device.stat().st_rdev
    return f"{os.major(number)}:{os.minor(number)}"
