# SPDX-License-Identifier: GPL-2.0-or-later
"""What a case works on: a file system, or a backing device with a cache. Made first, put into use later."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from harness.record.layout import filesystem_layout
from loopdevs import Bcache, BcacheLayout, BtrfsFilesystem, BtrfsLayout, Workspace

__all__ = ["DEVICE", "BcacheStage", "Stage", "make_stage", "space_used", "stage_facts"]

DEVICE = "device"
"""The name of /dev/bcacheN in the folder that stands in for a mount point."""


class Stage(Protocol):
    """Devices that are ready; the capture is started before `mount`, so that it sees everything."""

    @property
    def fsid(self) -> str:
        """UUID of the file system or of the cache set."""

    @property
    def mountpoint(self) -> Path:
        """The folder in which fio works."""

    @property
    def devices(self) -> Sequence[Path]:
        """The devices below."""

    @property
    def backing(self) -> str | None:
        """Type of the file system below loop devices; None for other devices."""

    @property
    def direct_io(self) -> bool | None:
        """Whether loop devices do direct I/O on their files; None for other devices."""

    def mount(self) -> None:
        """Put it into use."""

    def umount(self) -> None:
        """End its use; again does nothing."""


class BcacheStage:
    """A bcache device in a folder of its own; leaving it as a context destroys it."""

    def __init__(self, workspace: Workspace, layout: BcacheLayout, given: Sequence[Path]) -> None:
        """Make the devices, or take the two that are given: first the backing device, then the cache."""
        backing, cache = given or (None, None)
        self.bcache: Bcache = workspace.bcache(layout, backing=backing, cache=cache, start=False)
        self.fsid = self.bcache.set_uuid
        self.devices = (self.bcache.backing, self.bcache.cache)
        self.backing = self.bcache.below
        self.direct_io = self.bcache.direct_io
        self.mountpoint = workspace.path(f"cached-{self.fsid}")
        self.mountpoint.mkdir()

    def mount(self) -> None:
        """Register the devices and attach them to each other."""
        self.bcache.start()
        self.link()

    def link(self) -> None:
        """Have `DEVICE` lead to the bcache device, which may have got another number."""
        link = self.mountpoint / DEVICE
        link.unlink(missing_ok=True)
        link.symlink_to(self.bcache.device)

    def umount(self) -> None:
        """Stop the set and the device; dirty data stay dirty."""
        self.bcache.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bcache.destroy()


def make_stage(
    workspace: Workspace, layout: BtrfsLayout | BcacheLayout, drives: Sequence[Path]
) -> AbstractContextManager[BtrfsFilesystem | BcacheStage]:
    """Make what `layout` says, on the first of the drives if there are any."""
    given = drives[: layout.devices]
    if isinstance(layout, BcacheLayout):
        return BcacheStage(workspace, layout, given)
    return workspace.btrfs(layout, given)


def space_used(stage: Stage) -> list[dict[str, Any]]:
    """Return how a file system uses its devices; nothing of a cache, which has no such thing."""
    return [] if isinstance(stage, BcacheStage) else filesystem_layout(stage.mountpoint)


def stage_facts(layout: BtrfsLayout | BcacheLayout) -> dict[str, Any]:
    """Return what a bundle says of a layout."""
    if isinstance(layout, BcacheLayout):
        return {
            "count": layout.devices,
            "size_bytes": layout.backing_bytes,
            "cache_bytes": layout.cache_bytes,
            "bucket_bytes": layout.bucket_bytes,
            "block_bytes": layout.block_bytes,
            "cache_mode": layout.cache_mode,
            "mkfs_options": [],
            "mount_options": [],
        }
    return {
        "count": layout.devices,
        "size_bytes": layout.size_bytes,
        "data": layout.data,
        "metadata": layout.metadata,
        "mkfs_options": list(layout.mkfs_options),
        "mount_options": list(layout.mount_options),
    }
