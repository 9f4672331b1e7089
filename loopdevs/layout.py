# SPDX-License-Identifier: GPL-2.0-or-later
"""What a btrfs file system is made of, refused early when it cannot be made."""

from __future__ import annotations

from dataclasses import dataclass

from loopdevs.errors import LoopdevsError

__all__ = ["MINIMUM_DEVICES", "MINIMUM_DEVICE_BYTES", "BtrfsLayout", "check_mount_options"]

MINIMUM_DEVICES = {
    "single": 1,
    "dup": 1,
    "raid0": 1,
    "raid1": 2,
    "raid1c3": 3,
    "raid1c4": 4,
    "raid10": 2,
    "raid5": 2,
    "raid6": 3,
}
"""Devices each profile needs: `devs_min` of `btrfs_raid_array` (fs/btrfs/volumes.c)."""

MINIMUM_DEVICE_BYTES = 256 * 1024**2
"""mkfs.btrfs 6.2 wants 240,123,904 bytes for its greediest layout (data and metadata dup)."""

SECTOR_BYTES = 4096
MKFS_OPTIONS_OF_OURS = (
    "-d",
    "--data",
    "-m",
    "--metadata",
    "-U",
    "--uuid",
    "-f",
    "--force",
    "-b",
    "--byte-count",
)
MOUNT_OPTIONS_OF_OURS = ("device", "loop", "bind", "rbind", "move", "remount", "offset", "sizelimit")


@dataclass(frozen=True)
class BtrfsLayout:
    """A btrfs file system to be made; LoopdevsError says in one line why it cannot be."""

    devices: int = 1
    """Number of loop devices."""
    size_bytes: int = 4 * 1024**3
    """Size of each device, as far as the file system has it; the backing files are sparse."""
    data: str = "single"
    """Data profile."""
    metadata: str = "single"
    """Metadata and system profile."""
    mkfs_options: tuple[str, ...] = ()
    """Further arguments of mkfs.btrfs; none may name a path."""
    mount_options: tuple[str, ...] = ()
    """Options of mount -o."""
    can_fail: bool = False
    """Whether blocks of the devices can be told to fail: FUSE is under their loop devices."""
    room_bytes: int = 0
    """Bytes of each device behind the file system, which it can be grown into."""

    @property
    def device_bytes(self) -> int:
        """Size of each device with the room behind the file system, bytes."""
        return self.size_bytes + self.room_bytes

    def __post_init__(self) -> None:
        for role, profile in (("data", self.data), ("metadata", self.metadata)):
            _check_profile(role, profile, self.devices)
        _check_size(self.size_bytes)
        if self.room_bytes < 0 or self.room_bytes % SECTOR_BYTES:
            raise LoopdevsError(
                f"room for {self.room_bytes} bytes is not possible: give a multiple of {SECTOR_BYTES}"
            )
        _check_mkfs_options(self.mkfs_options)
        check_mount_options(self.mount_options)


def check_mount_options(options: tuple[str, ...]) -> None:
    """Refuse options that would bring in another device or act on another mount."""
    for option in (part for given in options for part in given.split(",")):
        if option.split("=")[0] in MOUNT_OPTIONS_OF_OURS:
            raise LoopdevsError(f"mount option {option!r} is not for a layout to give: leave it out")


def _check_profile(role: str, profile: str, devices: int) -> None:
    if profile not in MINIMUM_DEVICES:
        raise LoopdevsError(f"{role} profile {profile!r} is unknown: use one of {', '.join(MINIMUM_DEVICES)}")
    if devices < MINIMUM_DEVICES[profile]:
        raise LoopdevsError(
            f"{role} profile {profile} needs {MINIMUM_DEVICES[profile]} or more devices, {devices} given"
        )


def _check_size(size: int) -> None:
    if size < MINIMUM_DEVICE_BYTES or size % SECTOR_BYTES:
        raise LoopdevsError(
            f"a device of {size} bytes is not possible: "
            f"give a multiple of {SECTOR_BYTES}, {MINIMUM_DEVICE_BYTES} or more"
        )


def _check_mkfs_options(options: tuple[str, ...]) -> None:
    for option in options:
        # A path among the options would be one more device to mkfs.btrfs.
        if "/" in option or option.startswith(MKFS_OPTIONS_OF_OURS):
            raise LoopdevsError(f"mkfs.btrfs option {option!r} is not for a layout to give: leave it out")
