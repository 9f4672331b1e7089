# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that are told to fail, on the real kernel."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopdevs import BtrfsFilesystem, BtrfsLayout, Failing, Workspace
from loopdevs.leftovers import kernel_leftovers

pytestmark = [pytest.mark.live, pytest.mark.fuse]

BLOCK = 4096
PLACE = 200 << 20


@pytest.fixture
def filesystem(tmp_path: Path) -> Iterator[BtrfsFilesystem]:
    with Workspace.create(tmp_path / "run") as workspace:
        with workspace.btrfs(BtrfsLayout(devices=2, size_bytes=256 << 20, can_fail=True)) as made:
            yield made
        assert not list(workspace.directory.glob("btrfs-*"))
    assert kernel_leftovers(tmp_path) == []


def read(device: Path, place: int, length: int = BLOCK) -> bytes | int:
    descriptor = os.open(device, os.O_RDWR | os.O_DIRECT)
    try:
        with mmap.mmap(-1, length) as memory:
            os.preadv(descriptor, [memory], place)
            return memory[:]
    except OSError as error:
        return error.errno or 0
    finally:
        os.close(descriptor)


def write(device: Path, place: int, byte: bytes) -> int:
    descriptor = os.open(device, os.O_RDWR | os.O_DIRECT)
    try:
        with mmap.mmap(-1, BLOCK) as memory:
            memory[:] = byte * BLOCK
            os.pwritev(descriptor, [memory], place)
            return 0
    except OSError as error:
        return error.errno or 0
    finally:
        os.close(descriptor)


def test_blocks_fail_as_they_are_told_to(filesystem: BtrfsFilesystem) -> None:
    first, second = filesystem.devices
    assert write(first, PLACE, b"a") == 0
    filesystem.disks[0].fail(PLACE, BLOCK, Failing.READS)
    assert [read(first, PLACE), read(first, PLACE - BLOCK, 2 * BLOCK)] == [errno.EIO] * 2
    assert [read(d, p) for d, p in ((first, PLACE + BLOCK), (second, PLACE))] == [bytes(BLOCK)] * 2
    assert write(first, PLACE, b"b") == 0
    filesystem.disks[0].fail(PLACE, BLOCK, Failing.WRITES)
    assert (read(first, PLACE), write(first, PLACE, b"c")) == (b"b" * BLOCK, errno.EIO)
    filesystem.disks[0].fail(PLACE, BLOCK, Failing.NOTHING)
    assert (write(first, PLACE, b"d"), read(first, PLACE)) == (0, b"d" * BLOCK)


def test_their_files_have_what_is_on_them_and_they_can_be_mounted(filesystem: BtrfsFilesystem) -> None:
    write(filesystem.devices[1], PLACE, b"x")
    assert read(filesystem.backing_files[1], PLACE) == b"x" * BLOCK
    filesystem.mount()
    (filesystem.mountpoint / "file").write_bytes(b"y" * BLOCK)
    filesystem.umount()
    filesystem.mount()
    assert (filesystem.mountpoint / "file").read_bytes() == b"y" * BLOCK
