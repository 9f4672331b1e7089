# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines of the kernel log explain a failed fsync."""

from __future__ import annotations

import time
from pathlib import Path

from harness.record.stale_pages import explanation

MOUNT = Path("/var/tmp/w/btrfs-0/mnt")


def failure(seconds: float = 1.0, file: str = f"{MOUNT}/contended") -> list[str]:
    """What 5.10 logs."""
    stamp = f"[{seconds:12.6f}]"
    return [
        f"{stamp} Page cache invalidation failure on direct I/O.  "
        "Possible data corruption due to collision with buffered I/O!",
        f"{stamp} File: {file} PID: 203 Comm: fio",
    ]


def burst(seconds: float, times: int = 10) -> list[str]:
    return [line for _ in range(times) for line in failure(seconds, "/elsewhere/f")]


def test_the_kernel_says_it_of_the_file_system_under_test() -> None:
    assert explanation(failure(), failure(), MOUNT) == "page cache invalidation failed, as the kernel logs"


def test_it_says_nothing_or_says_it_of_another() -> None:
    assert explanation([], [], MOUNT) is None
    assert explanation(failure(file="/srv/f"), failure(file="/srv/f"), MOUNT) is None
    assert explanation(failure()[:1], failure()[:1], MOUNT) is None
    assert explanation(failure()[1:], failure()[1:], MOUNT) is None


def test_it_has_said_it_as_often_as_it_does() -> None:
    now = time.monotonic()
    explained = explanation([], burst(now), MOUNT)
    assert explained is not None
    assert "ten times before" in explained
    assert explanation([], burst(now, 9), MOUNT) is None
    assert explanation([], burst(now - 86401), MOUNT) is None


def test_silence_explains_nothing_beside_other_errors() -> None:
    since_boot = burst(time.monotonic())
    for line in (
        "[    5.000000] blk_update_request: I/O error, dev loop0, sector 8",
        "[    5.000000] BTRFS error (device loop0): bdev /dev/loop0 errs: wr 1, rd 0, flush 0",
        "[    5.000000] BTRFS: error (device loop0) in btrfs_commit_transaction:2377: errno=-5 IO failure",
    ):
        assert explanation([line], since_boot, MOUNT) is None
    assert explanation(["[    5.000000] BTRFS info (device loop0): using crc32c"], since_boot, MOUNT)
