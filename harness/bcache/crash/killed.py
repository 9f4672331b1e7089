# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that is killed while a set is at work, and another one that goes on with its disks.

The first runs `python -m harness.bcache.crash.killed work FOLDER SEED`, with devices on files of its host's
in FOLDER, until it is killed; then the host calls `gather`, and the next runs `... recover FOLDER SEED`.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from harness.bcache.crash.live import recover_from, work
from harness.bcache.crash.plan import CrashPlan
from harness.bcache.crash.record import ARRAYS, FACTS, save_record
from harness.bcache.crash.write_log import SECTOR, Entry, Flag
from harness.guest.agreed import GUEST_WORK
from loopdevs import BcacheLayout, Workspace

__all__ = ["PLAN", "PROGRESS", "gather", "main"]

MIB = 1024**2
PLAN = CrashPlan(
    BcacheLayout(
        backing_bytes=16 * MIB,
        cache_bytes=16 * MIB,
        cache_mode="writeback",
        bucket_bytes=4096,
        block_bytes=512,
    ),
    batches=2000,
)
"""More work than any guest lives to do."""
PROGRESS, DISK, WORK = "progress", "disk", "work"
"""In the folder: what was said to be durable, a line each; what was left on the devices; where they were."""


def gather(folder: Path) -> None:
    """Make one disk of what the killed guest left on its two devices; its folder goes."""
    parts = [file for name in ("cache.img", "backing.img") for file in (folder / WORK).rglob(name)]
    (folder / DISK).write_bytes(b"".join(part.read_bytes() for part in parts))
    shutil.rmtree(folder / WORK)


def _work(folder: Path, seed: int) -> None:
    progress = os.open(folder / PROGRESS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_SYNC)
    with Workspace.create(folder / WORK) as workspace, workspace.bcache(PLAN.layout) as bcache:
        work(bcache, PLAN, seed, lambda mark: _tell(progress, mark))


def _tell(progress: int, mark: str) -> None:
    os.write(progress, f"{mark}\n".encode())


def _recover(folder: Path, seed: int) -> None:
    disk = (folder / DISK).read_bytes()
    # A line that is not whole was being written.
    marks = (folder / PROGRESS).read_text().split("\n")[:-1]
    left = Entry(0, len(disk) // SECTOR, Flag.FUA, disk)
    entries = [left, *(Entry(0, 0, Flag.MARK, mark.encode()) for mark in marks)]
    with Workspace.create(Path(GUEST_WORK, "recovered")) as workspace:
        record = recover_from(PLAN, seed, entries, workspace)
    save_record(record, folder / FACTS, folder / ARRAYS)


def main(what: str, folder: Path, seed: int) -> None:
    """Work until killed, or recover."""
    {"work": _work, "recover": _recover}[what](folder, seed)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
