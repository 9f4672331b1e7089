# SPDX-License-Identifier: GPL-2.0-or-later
"""The checker on sets of this kernel: at work, stopped, used again; and told what is no cache device."""

from __future__ import annotations

import mmap
import os
import random
import shutil
from pathlib import Path

import pytest

from harness.bcache.check import CheckedCache, check_cache
from harness.bcache.device import File, cache_superblock
from loopdevs import Bcache, BcacheLayout, Workspace
from suites.meta.commands import iodiff

pytestmark = pytest.mark.guest

MIB = 1024**2
LAYOUT = BcacheLayout(
    backing_bytes=64 * MIB,
    cache_bytes=16 * MIB,
    bucket_bytes=4096,
    block_bytes=512,
    cache_mode="writeback",
    writeback_percent=40,
)
WRITES = 800
BLOCK = 4096


def write(bcache: Bcache, seed: int) -> None:
    """Write blocks at random, past the page cache."""
    rng = random.Random(seed)
    blocks = LAYOUT.backing_bytes // BLOCK - 2
    fd = os.open(bcache.device, os.O_WRONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, BLOCK) as buffer:
            buffer.write(rng.randbytes(BLOCK))
            for _ in range(WRITES):
                os.pwrite(fd, buffer, rng.randrange(blocks) * BLOCK)
    finally:
        os.close(fd)


def checked(path: Path) -> CheckedCache:
    with File(path) as device:
        return check_cache(device, *cache_superblock(device, str(path)))


def dirty(found: CheckedCache) -> dict[tuple[int, int], int]:
    return {(k.inode, k.start + n): k.ptr[0] + (n << 8) for k in found.live if k.dirty for n in range(k.size)}


def test_a_set_at_work_and_stopped_and_used_again(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "run") as workspace, workspace.bcache(LAYOUT) as bcache:
        write(bcache, 1)
        image = tmp_path / "image"
        [file] = workspace.path("x").parent.rglob("cache.img")
        shutil.copyfile(file, image)
        crashed = checked(image)
        assert crashed.findings == []
        assert crashed.replayed

        said = iodiff("bcache", "check", bcache.cache)
        assert "is registered" in said.stderr
        assert said.returncode in (0, 2), said.stdout
        backing = iodiff("bcache", "check", bcache.backing)
        assert backing.returncode == 3
        assert "is a backing device" in backing.stderr

        bcache.stop()
        stopped = checked(bcache.cache)
        assert stopped.findings == []
        assert dirty(stopped) == dirty(crashed)
        assert len(dirty(stopped)) > WRITES

        bcache.register()
        write(bcache, 2)
        bcache.flush()
        bcache.stop()
        assert checked(bcache.cache).findings == []
