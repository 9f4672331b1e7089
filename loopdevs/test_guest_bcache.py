# SPDX-License-Identifier: GPL-2.0-or-later
"""bcache on the kernel of a guest."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopdevs import (
    Bcache,
    BcacheLayout,
    Delay,
    Linear,
    LoopdevsError,
    NotOursError,
    Segment,
    Workspace,
    clean,
)
from loopdevs import bcache_control as control
from loopdevs.bcache_layout import CACHE_MODES, DATA_OFFSET_BYTES
from loopdevs.deadline import Deadline
from loopdevs.leftovers import kernel_leftovers
from loopdevs.superblocks import wipe

pytestmark = pytest.mark.guest

MIB = 1024**2
BACKING_BYTES = 64 * MIB


def layout(mode: str = "writethrough") -> BcacheLayout:
    return BcacheLayout(
        backing_bytes=BACKING_BYTES, cache_bytes=64 * MIB, bucket_bytes=16 * 1024, cache_mode=mode
    )


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Return a work root; nothing in the kernel and no run may be left in it afterwards."""
    root = tmp_path / "root"
    root.mkdir()
    yield root
    assert kernel_leftovers(tmp_path) == []
    assert list(root.iterdir()) == []


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    with Workspace.create(root / "run") as workspace:
        yield workspace


def write(device: Path, data: bytes, offset: int = 0) -> None:
    """Write past the page cache."""
    with mmap.mmap(-1, len(data)) as buffer:
        buffer[:] = data
        descriptor = os.open(device, os.O_WRONLY | os.O_DIRECT)
        try:
            assert os.pwritev(descriptor, [buffer], offset) == len(data)
        finally:
            os.close(descriptor)


def read(device: Path, size: int, offset: int = 0) -> bytes:
    """Read past the page cache."""
    with mmap.mmap(-1, size) as buffer:
        descriptor = os.open(device, os.O_RDONLY | os.O_DIRECT)
        try:
            assert os.preadv(descriptor, [buffer], offset) == size
        finally:
            os.close(descriptor)
        return buffer[:]


def sets() -> list[str]:
    return [path.name for path in control.SETS.iterdir() if path.is_dir()]


@pytest.mark.parametrize("mode", CACHE_MODES)
def test_life_in_each_mode(workspace: Workspace, mode: str) -> None:
    data = os.urandom(MIB)
    with workspace.bcache(layout(mode)) as bcache:
        assert bcache.cache_mode == mode
        assert sets() == [bcache.set_uuid]
        sectors = Path("/sys/block", bcache.device.name, "size").read_text()
        assert int(sectors) * 512 == BACKING_BYTES - DATA_OFFSET_BYTES
        write(bcache.device, data)
        assert read(bcache.device, MIB) == data
        # Only writeback acknowledges what is not on the backing device.
        on_backing = read(bcache.backing, MIB, DATA_OFFSET_BYTES)
        assert (on_backing == data) is (mode != "writeback")
        number = bcache.device
        bcache.destroy()
        bcache.destroy()
        assert kernel_leftovers(workspace.directory) == []
        assert sets() == []
        assert not Path("/sys/block", number.name).exists()
    assert len(list(workspace.directory.iterdir())) == 2


def test_the_options_are_in_force(workspace: Workspace) -> None:
    chosen = BcacheLayout(
        backing_bytes=BACKING_BYTES,
        cache_bytes=128 * MIB,
        bucket_bytes=32 * 1024,
        block_bytes=1024,
        cache_mode="writeback",
        writeback_percent=7,
        sequential_cutoff=1 << 20,
        replacement="fifo",
    )
    with workspace.bcache(chosen) as bcache:
        _check_options(bcache)
        bcache.stop()
        bcache.register()
        _check_options(bcache)


def _check_options(bcache: Bcache) -> None:
    folder, cache = control.sysfs_of(bcache.backing), control.sysfs_of(bcache.cache)
    assert bcache.cache_mode == "writeback"
    assert control.parse_size((folder / "sequential_cutoff").read_text()) == 1 << 20
    assert (folder / "writeback_percent").read_text().strip() == "7"
    assert control.chosen((cache / "cache_replacement_policy").read_text()) == "fifo"
    assert control.parse_size((cache / "bucket_size").read_text()) == 32 * 1024
    assert control.parse_size((cache / "block_size").read_text()) == 1024
    for direction in ("read", "write"):
        file = control.SETS / bcache.set_uuid / f"congested_{direction}_threshold_us"
        assert file.read_text().strip() == "0"


def test_reading_again_hits_the_cache(workspace: Workspace) -> None:
    with workspace.bcache(layout()) as bcache:
        data = os.urandom(MIB)
        write(bcache.device, data)
        assert read(bcache.device, MIB) == data
        stats = bcache.settled_stats()
        assert stats.cache_hits > 0
        assert stats.cache_bypass_hits == stats.cache_bypass_misses == 0


def test_detaching_writes_back(workspace: Workspace) -> None:
    data = os.urandom(MIB)
    with workspace.bcache(layout("writeback")) as bcache:
        assert bcache.state == "clean"
        write(bcache.device, data)
        assert bcache.state == "dirty"
        assert read(bcache.backing, MIB, DATA_OFFSET_BYTES) != data
        bcache.detach()
        assert bcache.state == "no cache"
        assert read(bcache.backing, MIB, DATA_OFFSET_BYTES) == data
        bcache.attach()
        assert read(bcache.device, MIB) == data


def test_flushing_writes_back_and_keeps_the_cache(workspace: Workspace) -> None:
    data = os.urandom(MIB)
    with workspace.bcache(layout("writeback")) as bcache:
        write(bcache.device, data)
        bcache.flush()
        assert bcache.state == "clean"
        assert read(bcache.backing, MIB, DATA_OFFSET_BYTES) == data
        folder = control.sysfs_of(bcache.backing)
        assert (folder / "writeback_percent").read_text().strip() == "10"


def test_stopped_and_registered_again_dirty_data_are_there(workspace: Workspace) -> None:
    data = os.urandom(MIB)
    with workspace.bcache(layout("writeback")) as bcache:
        write(bcache.device, data)
        bcache.stop()
        assert sets() == []
        with pytest.raises(LoopdevsError, match="register it first"):
            _ = bcache.device
        assert read(bcache.backing, MIB, DATA_OFFSET_BYTES) != data
        bcache.register()
        assert bcache.state == "dirty"
        assert read(bcache.device, MIB) == data


def test_without_its_cache_it_is_refused(workspace: Workspace) -> None:
    with workspace.bcache(layout()) as bcache:
        bcache.require_cache()
        bcache.detach()
        with pytest.raises(LoopdevsError, match='state "no cache": it does not use its cache'):
            bcache.require_cache()
        bcache.stop()
        with pytest.raises(LoopdevsError, match='state "no cache"'):
            bcache.register(deadline_s=1)


def test_a_device_in_use_is_waited_for_and_its_user_named(workspace: Workspace) -> None:
    bcache = workspace.bcache(layout())
    with bcache.device.open("rb"):
        with pytest.raises(LoopdevsError, match=r"held by .*\(pid "):
            workspace._ledger.undo(workspace._ledger.entries, 0.5)
        assert bcache.backing.is_block_device()


def test_registered_behind_our_back(workspace: Workspace) -> None:
    bcache = workspace.bcache(layout())
    bcache.stop()
    # As udev does for an event of before.
    control.register(bcache.backing)
    control.register(bcache.cache)
    bcache.destroy()


def test_devices_of_others_are_refused(root: Path) -> None:
    with Workspace.create(root / "one") as one, Workspace.create(root / "two") as two:
        theirs = two.loop_device(BACKING_BYTES)
        for device in (theirs, Path("/dev/sda")):
            with pytest.raises(NotOursError, match=f"{device} was not made by this run"):
                one.bcache(layout(), backing=device)
            with pytest.raises(NotOursError, match=f"{device} was not made by this run"):
                one.mapper([Segment(8, Linear(device))])
        bcache = two.bcache(layout(), backing=theirs)
        with pytest.raises(LoopdevsError, match=f"{theirs} cannot be wiped: in use"):
            wipe(theirs, Deadline(0))
        assert bcache.state == "clean"
        one.close()
        assert clean(root).undone == ()
        assert bcache.state == "clean"


def test_on_a_slow_backing_device(workspace: Workspace) -> None:
    data = os.urandom(MIB)
    disk = workspace.loop_device(BACKING_BYTES)
    slow = workspace.mapper([Segment(BACKING_BYTES // 512, Delay(disk, read_ms=5, write_ms=5))])
    bcache = workspace.bcache(layout("writeback"), backing=slow.device)
    write(bcache.device, data)
    bcache.detach()
    assert read(disk, MIB, DATA_OFFSET_BYTES) == data
