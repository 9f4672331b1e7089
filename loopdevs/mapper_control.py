# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's device mapper, through dmsetup.

A mapped device is ours when its uuid, which is also its name, is one that the journal of our run could hold.
dmsetup is told not to wait for udev: the node that counts, /dev/dm-N, comes from the kernel.
"""

from __future__ import annotations

import re
from pathlib import Path

from loopdevs.control import where_mounted
from loopdevs.deadline import Deadline
from loopdevs.errors import LoopdevsError, NotOursError
from loopdevs.modules import try_to_load
from loopdevs.tools import run_tool

__all__ = [
    "PREFIX",
    "find_mapped",
    "is_suspended",
    "kernel_targets",
    "mapped_devices",
    "mapper_name",
    "parse_info",
    "parse_targets",
    "remove_mapped",
    "wake",
]

SYSFS = Path("/sys/block")
PREFIX = "iodiff-"
MODULES = ("dm-mod", "dm-delay", "dm-flakey", "dm-log-writes")
COLUMNS = "uuid,minor"


def mapper_name(token: str, number: int) -> str:
    """Return the name, and uuid, of the `number`-th mapped device of the run with `token`."""
    return f"{PREFIX}{token}-{number}"


def kernel_targets() -> set[str]:
    """Return the targets that the kernel has, after an attempt to load those that are modules."""
    try_to_load(MODULES)
    return parse_targets(run_tool("dmsetup", ["targets"])) if _has_device_mapper() else set()


def parse_targets(text: str) -> set[str]:
    """Return the names in what `dmsetup targets` prints.

    >>> sorted(parse_targets("delay            v1.4.0\\nerror            v1.7.0\\n"))
    ['delay', 'error']
    """
    return {line.split()[0] for line in text.splitlines() if len(line.split()) == 2}


def mapped_devices() -> dict[str, Path]:
    """Return all mapped devices that have a uuid, those without a table too."""
    if not _has_device_mapper():
        return {}
    arguments = ["info", "--columns", "--noheadings", "--separator", "|", "-o", COLUMNS]
    return parse_info(run_tool("dmsetup", arguments))


def parse_info(text: str) -> dict[str, Path]:
    """Return the devices by uuid in what `dmsetup info -c --separator '|' -o uuid,minor` prints.

    >>> parse_info("iodiff-ab-0|3\\n|4\\n")
    {'iodiff-ab-0': PosixPath('/dev/dm-3')}
    >>> parse_info("No devices found\\n")
    {}
    """
    rows = [line.strip().rpartition("|") for line in text.splitlines()]
    return {uuid: Path(f"/dev/dm-{minor}") for uuid, _, minor in rows if uuid and minor.isdecimal()}


def find_mapped(name: str, token: str) -> Path | None:
    """Return our mapped device, if it is there; NotOursError when the name is not one of that run."""
    if not re.fullmatch(rf"{PREFIX}{re.escape(token)}-[0-9]+", name):
        raise NotOursError(f"mapped device {name!r} is not of this run: left alone")
    return mapped_devices().get(name)


def is_suspended(device: Path) -> bool:
    """Return whether the mapped device holds back all I/O."""
    file = SYSFS / device.name / "dm" / "suspended"
    return file.exists() and file.read_text().strip() == "1"


def wake(name: str, token: str) -> bool:
    """Resume our mapped device if it is suspended: nobody who waits for it can be ended before."""
    device = find_mapped(name, token)
    if device is None or not is_suspended(device):
        return False
    run_tool("dmsetup", ["resume", "--noudevsync", "--uuid", name])
    return True


def remove_mapped(name: str, token: str, deadline: Deadline) -> bool:
    """Remove our mapped device; return whether it was there. LoopdevsError when it is in use till the end."""
    device = find_mapped(name, token)
    if device is None:
        return False
    if points := where_mounted(device):
        raise LoopdevsError(f"{device} is mounted at {points[0]}: unmount that and clean again")
    while True:
        try:
            run_tool("dmsetup", ["remove", "--noudevsync", "--uuid", name])
        except LoopdevsError as error:
            # Most often udev has a look at it.
            if not deadline.nap():
                raise LoopdevsError(f"{device} ({name}) cannot be removed: {error}") from None
        else:
            return True


def _has_device_mapper() -> bool:
    return " device-mapper\n" in Path("/proc/misc").read_text()
