# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel's bcache knows of a device: registering it, finding what stands on it, stopping it.

Everything is looked up from the backing or cache device (/sys/block/NAME/bcache): bcache numbers and set
uuids prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from loopdevs.control import where_mounted
from loopdevs.deadline import Deadline
from loopdevs.errors import LoopdevsError, NotOursError
from loopdevs.modules import try_to_load
from loopdevs.processes import holders
from loopdevs.superblocks import wipe

__all__ = [
    "all_sets",
    "bcache_of",
    "cache_set_of",
    "chosen",
    "is_registered",
    "load_bcache",
    "parse_size",
    "register",
    "release",
    "stop",
    "sysfs_of",
]

SETS = Path("/sys/fs/bcache")
SYSFS = Path("/sys/block")
UNITS = "kMGTPEZY"


def load_bcache() -> None:
    """Make sure that the kernel has bcache; LoopdevsError when it has not."""
    if not SETS.exists():
        try_to_load(["bcache"])
    if not SETS.exists():
        raise LoopdevsError(
            "the kernel has no bcache, and no module of that name can be loaded: "
            "give it its modules, or use a kernel built with CONFIG_BCACHE"
        )


def all_sets() -> list[str]:
    """Return the UUIDs of all sets that the kernel has, ours or not."""
    return sorted(path.name for path in SETS.iterdir() if path.is_dir())


def register(device: Path) -> None:
    """Show `device` to bcache; LoopdevsError when it refuses.

    One that is registered already (udev's rules do it by themselves) is no error to register_quiet, and no
    success either: what came of it shows in sysfs.
    """
    try:
        (SETS / "register_quiet").write_text(str(device))
    except OSError as error:
        raise LoopdevsError(f"bcache refuses {device}: {error.strerror}: see the kernel log") from None


def sysfs_of(device: Path) -> Path:
    """Return bcache's folder of the backing or cache device, which is there while it is registered."""
    return SYSFS / device.name / "bcache"


def is_registered(device: Path) -> bool:
    """Return whether bcache has the device, as backing device or as cache."""
    return sysfs_of(device).is_dir()


def bcache_of(backing: Path) -> Path | None:
    """Return the /dev/bcacheN on the backing device, None when there is none."""
    try:
        return Path("/dev") / (sysfs_of(backing) / "dev").readlink().name
    except OSError:
        return None


def cache_set_of(cache: Path) -> Path | None:
    """Return the folder /sys/fs/bcache/UUID of the set that the cache device is in."""
    try:
        return SETS / (sysfs_of(cache) / "set").readlink().name
    except OSError:
        return None


def stop(device: Path, ours: Callable[[Path], bool], deadline: Deadline) -> bool:
    """Stop the set of a cache device, or a backing device; return whether there was anything to stop.

    Dirty data stay where they are. LoopdevsError, and nothing done, when what would go is mounted, has a
    device upon it, or is not `ours`; LoopdevsError when it is not gone by the deadline.
    """
    if not is_registered(device):
        return False
    cache_set = cache_set_of(device)
    backing = _backing_devices(cache_set) if cache_set else [device]
    for member in backing:
        if not ours(member):
            raise NotOursError(f"{member}, which is not ours, is attached to {cache_set}: left alone")
        _refuse_if_used(bcache_of(member))
    numbers = [number for member in backing if (number := bcache_of(member))]
    # It may be gone just now.
    with suppress(FileNotFoundError):
        ((cache_set or sysfs_of(device)) / "stop").write_text("1")
    if not deadline.wait(lambda: not is_registered(device) and not (cache_set and cache_set.exists())):
        users = ", ".join(str(process) for number in numbers for process in holders(number))
        raise LoopdevsError(
            f"bcache does not let go of {device} within {deadline.seconds:g} s, "
            f"held by {users or 'I/O that does not end'}: end that and clean again"
        )
    return True


def release(device: Path, ours: Callable[[Path], bool], deadline: Deadline) -> bool:
    """Stop what bcache has on `device` and wipe it, for good; return whether bcache had it."""
    stopped = False
    while True:
        stopped |= stop(device, ours, deadline)
        try:
            wipe(device, Deadline(0))
        except LoopdevsError:
            # udev is slow to follow: an event of before may have registered the device anew.
            if not deadline.nap():
                raise
        else:
            return stopped


def parse_size(text: str) -> int:
    """Return the bytes that sysfs shows with at most four digits (`bch_hprint`, drivers/md/bcache/util.c).

    >>> [parse_size(text) for text in ("0.0k\\n", "512", "1.5M", "-2.0k")]
    [0, 512, 1572864, -2048]
    """
    match = re.fullmatch(rf"(-?[0-9]+(?:\.[0-9]+)?)([{UNITS}]?)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size")
    power = UNITS.index(match[2]) + 1 if match[2] else 0
    return round(float(match[1]) * (1 << 10 * power))


def chosen(text: str) -> str:
    """Return the choice that sysfs shows in brackets.

    >>> chosen("writethrough [writeback] writearound none\\n")
    'writeback'
    """
    match = re.search(r"\[([^]]+)\]", text)
    if match is None:
        raise ValueError(f"{text!r} shows no choice")
    return match[1]


def _backing_devices(cache_set: Path) -> list[Path]:
    links = sorted(cache_set.glob("bdev[0-9]*"))
    return [Path("/dev") / link.resolve().parent.name for link in links]


def _refuse_if_used(device: Path | None) -> None:
    if device is None:
        return
    if points := where_mounted(device):
        raise LoopdevsError(f"{device} is mounted at {points[0]}: unmount that and clean again")
    if upon := sorted(path.name for path in (SYSFS / device.name / "holders").glob("*")):
        raise LoopdevsError(f"{device} is kept: {upon[0]} still stands on it")
