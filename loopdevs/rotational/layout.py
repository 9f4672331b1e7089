# SPDX-License-Identifier: GPL-2.0-or-later
"""What a rotational disk is to be, refused early when it cannot be."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from loopdevs.errors import LoopdevsError
from reference.disks import SATA_7200_2011, Policy, RotationalConstants, RotationalDisk

__all__ = ["RotationalLayout", "shrunk"]

SECTOR_BYTES = 4096
LEAST_SCALE, GREATEST_SCALE = 0.01, 1000.0


@dataclass(frozen=True)
class RotationalLayout:
    """A disk of the model to be run in real time; LoopdevsError says in one line why it cannot be."""

    size_bytes: int
    """Size of the device: the first bytes of the disk.

    On a disk of 2 TB that is a narrow ring; see `shrunk`.
    """
    disk: RotationalConstants = SATA_7200_2011
    scale: float = 1.0
    """Seconds of ours that pass in one of the disk's."""
    host: Policy = Policy.FIFO
    """How those wait that the disk does not take yet. The kernel's own scheduler is in front of that."""
    drive: Policy = Policy.SHORTEST
    """Whom the disk serves next of those that it has taken."""
    queue_depth: int | None = None
    """How many it takes at a time; None for as many as its constants say."""

    def __post_init__(self) -> None:
        if self.size_bytes < SECTOR_BYTES or self.size_bytes % SECTOR_BYTES:
            raise LoopdevsError(
                f"a disk of {self.size_bytes} bytes is not possible: give a multiple of {SECTOR_BYTES}"
            )
        if self.size_bytes > self.disk.capacity:
            raise LoopdevsError(
                f"{self.size_bytes} bytes are more than {self.disk.name} has: "
                f"give {self.disk.capacity} or fewer, or constants with a larger capacity"
            )
        if not LEAST_SCALE <= self.scale <= GREATEST_SCALE:
            raise LoopdevsError(
                f"a scale of {self.scale:g} is not possible: give {LEAST_SCALE:g} to {GREATEST_SCALE:g}"
            )
        try:
            self.make()
        except ValueError as error:
            raise LoopdevsError(str(error)) from None

    def make(self) -> RotationalDisk:
        """Return the disk, in virtual time."""
        return RotationalDisk(self.disk, self.host, self.drive, self.queue_depth)

    def to_json(self) -> dict[str, Any]:
        """Return it as what JSON knows."""
        return {**asdict(self), "host": self.host.value, "drive": self.drive.value}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RotationalLayout:
        """Return what `to_json` was made from."""
        return cls(
            **{
                **data,
                "disk": RotationalConstants(**data["disk"]),
                "host": Policy(data["host"]),
                "drive": Policy(data["drive"]),
            }
        )


def shrunk(size_bytes: int, disk: RotationalConstants = SATA_7200_2011) -> RotationalConstants:
    """Return a disk with fewer cylinders, over which the arm takes as long as over those of `disk`.

    So what is on a device of a few GiB lies as far apart as on a full disk.
    """
    return replace(disk, capacity=size_bytes)
