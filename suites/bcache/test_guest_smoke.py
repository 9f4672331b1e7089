# SPDX-License-Identifier: GPL-2.0-or-later
"""bcache from end to end in a guest: set up, fio with verification, hits counted, torn down."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.fio import FioResult, run_fio
from harness.fiojob import FioJob, Options
from loopdevs import Bcache, BcacheLayout, Workspace
from loopdevs.bcache_layout import DATA_OFFSET_BYTES
from loopdevs.leftovers import kernel_leftovers

pytestmark = pytest.mark.guest

MIB = 1024**2
SIZE_BYTES = 2 * MIB
CHECKED: Options = {"ioengine": "psync", "direct": 1, "bs": "4k", "size": SIZE_BYTES, "verify": "crc32c"}


def fio(folder: Path, device: Path, name: str, options: Options) -> FioResult:
    """Run a job on `device`, under a name in `folder`, which is as far as jobs may reach."""
    files = folder / name
    files.mkdir()
    (files / "device").symlink_to(device)
    job = FioJob(name, {"job": options}, {**CHECKED, "filename": "device"})
    return run_fio(job, files, folder / f"{name}.json", timeout_s=120)


def head(device: Path, offset: int) -> bytes:
    with device.open("rb") as opened:
        # A page cache of before would show what was written through another device.
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        opened.seek(offset)
        return opened.read(SIZE_BYTES)


def fill(folder: Path, bcache: Bcache) -> None:
    written = fio(folder, bcache.device, "fill", {"rw": "randwrite", "do_verify": 0, "randseed": 1})
    assert written.jobs[0].write.io_bytes == SIZE_BYTES


def check(folder: Path, bcache: Bcache, name: str) -> None:
    checked = fio(folder, bcache.device, name, {"rw": "randwrite", "verify_only": None, "randseed": 1})
    assert checked.jobs[0].error == 0


@pytest.mark.parametrize("mode", ["writethrough", "writeback", "writearound"])
def test_fio_verifies_and_reading_again_hits(tmp_path: Path, mode: str) -> None:
    layout = BcacheLayout(
        backing_bytes=64 * MIB, cache_bytes=64 * MIB, bucket_bytes=16 * 1024, cache_mode=mode
    )
    with Workspace.create(tmp_path / "run") as workspace:
        folder = workspace.path("fio")
        folder.mkdir()
        with workspace.bcache(layout) as bcache:
            fill(folder, bcache)
            # What was not cached by the writes, is by the first reads.
            check(folder, bcache, "first")
            check(folder, bcache, "second")
            assert bcache.settled_stats().cache_hits >= SIZE_BYTES // 4096
            assert bcache.state == ("dirty" if mode == "writeback" else "clean")
            seen = head(bcache.device, 0)
            bcache.detach()
            bcache.stop()
            assert head(bcache.backing, DATA_OFFSET_BYTES) == seen != bytes(SIZE_BYTES)
    assert kernel_leftovers(tmp_path) == []
