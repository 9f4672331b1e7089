# SPDX-License-Identifier: GPL-2.0-or-later
"""A bcache set on one disk that logs its writes, and that can be given another content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

from harness.bcache.crash.failing import Bad, spans
from harness.bcache.crash.moments import Disks
from harness.bcache.crash.plan import CrashPlan
from harness.bcache.crash.predict import DATA_START
from harness.bcache.crash.write_log import SECTOR, Entry, read_log
from harness.bcache.device import Bytes, Device, File, cache_superblock
from loopdevs import Bcache, Error, Linear, LogWrites, Segment, Workspace

__all__ = ["Rig", "rig"]

_LOG_BYTES = 1 << 30
"""A sparse file in memory: only what is written takes room."""


class Rig:
    """The set on its disk: first recorded, then put on what losses of power left."""

    def __init__(self, plan: CrashPlan, workspace: Workspace, made: ExitStack) -> None:
        """Make all of it on loop devices, with the log running."""
        self.plan = plan
        cache, backing = plan.layout.cache_bytes // SECTOR, plan.layout.backing_bytes // SECTOR
        self._sectors = (cache, backing)
        self._disk = workspace.loop_device((cache + backing) * SECTOR)
        self._log = workspace.loop_device(_LOG_BYTES)
        table = [Segment(cache + backing, LogWrites(self._disk, self._log))]
        self._logged = made.enter_context(workspace.mapper(table))
        self._cache = made.enter_context(workspace.mapper([Segment(cache, Linear(self._logged.device))]))
        self._backing = made.enter_context(
            workspace.mapper([Segment(backing, Linear(self._logged.device, cache))])
        )
        self.bcache: Bcache = made.enter_context(
            workspace.bcache(plan.layout, backing=self._backing.device, cache=self._cache.device)
        )
        with File(self._cache.device) as device:
            self.disks = _divided(device, cache, backing)

    def mark(self, text: str) -> None:
        """Put a mark, one word, into the log, after all that is durable by now."""
        self._logged.message(f"mark {text}")

    def end_log(self) -> list[Entry]:
        """Take the set, which was stopped, off the log, and return what is in that."""
        cache, backing = self._sectors
        self._cache.reload([Segment(cache, Linear(self._disk))])
        self._backing.reload([Segment(backing, Linear(self._disk, cache))])
        self._logged.destroy()
        with _backing_file(self._log).open("rb") as log:
            return read_log(log)

    def fail(self, bad: Bad) -> None:
        """Let sectors of both devices fail from now on; an empty `Bad` ends that. The set must be stopped."""
        cache, backing = self._sectors
        below = [sector + DATA_START for sector in bad.backing]
        self._cache.reload(self._segments(bad.cache, cache, 0))
        self._backing.reload(self._segments(below, backing, cache))

    def _segments(self, bad: Iterable[int], sectors: int, offset: int) -> list[Segment]:
        return [
            Segment(length, Error() if fails else Linear(self._disk, offset + begin))
            for begin, length, fails in spans(bad, sectors)
        ]

    def put(self, disk: bytes | bytearray) -> None:
        """Give the disk, which nobody uses, another content."""
        with _backing_file(self._disk).open("r+b") as file:
            file.write(disk)

    def take(self, disk: bytes | bytearray) -> None:
        """Give the disk, which nobody uses, a content with another set of the same sizes."""
        device = Bytes(disk[: self.disks.cache_sectors * SECTOR])
        sb = cache_superblock(device, "the other set")[0]
        self.disks = _divided(device, *self._sectors)
        self.bcache.set_uuid = str(UUID(bytes=sb.set_uuid))
        self.put(disk)

    def content(self) -> bytes:
        """Return what is on the disk."""
        return _backing_file(self._disk).read_bytes()


def _divided(device: Device, cache: int, backing: int) -> Disks:
    """Return how the disk is divided, given the cache device with its superblock."""
    sb = cache_superblock(device, "the cache device")[0]
    journal = [range(b * sb.bucket_size, (b + 1) * sb.bucket_size) for b in sb.d]
    return Disks(cache, backing, journal)


def _backing_file(loop: Path) -> Path:
    """Return the file of a loop device: the device's page cache would not show what mapped devices did."""
    return Path(Path(f"/sys/block/{loop.name}/loop/backing_file").read_text().strip())


@contextmanager
def rig(plan: CrashPlan, workspace: Workspace) -> Iterator[Rig]:
    """Make a rig, and remove it in the end."""
    with ExitStack() as made:
        yield Rig(plan, workspace, made)
