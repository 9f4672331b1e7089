# SPDX-License-Identifier: GPL-2.0-or-later
"""Mapped devices, and virtio drives, on the kernel of a guest."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loopdevs import (
    BcacheLayout,
    BtrfsLayout,
    Delay,
    Error,
    Flakey,
    Linear,
    LogWrites,
    LoopdevsError,
    NotOursError,
    Segment,
    Workspace,
)
from loopdevs.drives import SYSFS, our_drives
from loopdevs.layout import MINIMUM_DEVICE_BYTES
from loopdevs.leftovers import kernel_leftovers
from loopdevs.mapper_control import mapped_devices
from loopdevs.test_guest_bcache import MIB, read, write

pytestmark = pytest.mark.guest

SECTORS = MIB // 512


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "run") as workspace:
        yield workspace
    assert mapped_devices() == {}
    assert kernel_leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_linear_puts_pieces_together(workspace: Workspace) -> None:
    disk = workspace.loop_device(2 * MIB)
    data = os.urandom(2 * MIB)
    write(disk, data)
    swapped = [Segment(SECTORS, Linear(disk, SECTORS)), Segment(SECTORS, Linear(disk))]
    with workspace.mapper(swapped) as mapper:
        assert read(mapper.device, 2 * MIB) == data[MIB:] + data[:MIB]
        number = mapper.device
    assert not Path("/sys/block", number.name).exists()


def test_delay_takes_its_time(workspace: Workspace) -> None:
    disk = workspace.loop_device(MIB)
    with workspace.mapper([Segment(SECTORS, Delay(disk, read_ms=300))]) as mapper:
        began = time.monotonic()
        read(mapper.device, 4096)
        assert time.monotonic() - began >= 0.3


def test_an_error_in_the_middle(workspace: Workspace) -> None:
    disk = workspace.loop_device(MIB)
    table = [Segment(8, Linear(disk)), Segment(8, Error()), Segment(8, Linear(disk, 16))]
    with workspace.mapper(table) as mapper:
        assert read(mapper.device, 4096) == read(mapper.device, 4096, 8192) == bytes(4096)
        with pytest.raises(OSError, match="Input/output error") as caught:
            read(mapper.device, 4096, 4096)
        assert caught.value.errno == errno.EIO


def test_flakey_drops_writes(workspace: Workspace) -> None:
    disk = workspace.loop_device(MIB)
    # It never works: there is nothing to wait for.
    with workspace.mapper([Segment(SECTORS, Flakey(disk, 0, 600, ("drop_writes",)))]) as mapper:
        write(mapper.device, b"x" * 4096)
    assert read(disk, 4096) == bytes(4096)


def test_log_writes_logs(workspace: Workspace) -> None:
    disk, log = workspace.loop_device(MIB), workspace.loop_device(4 * MIB)
    with workspace.mapper([Segment(SECTORS, LogWrites(disk, log))]) as mapper:
        write(mapper.device, b"x" * 4096)
    assert read(disk, 4096) == b"x" * 4096
    # WRITE_LOG_MAGIC, drivers/md/dm-log-writes.c
    assert int.from_bytes(read(log, 4096)[:8], "little") == 0x6A736677736872


def test_another_table(workspace: Workspace) -> None:
    with workspace.mapper([Segment(SECTORS, Linear(workspace.loop_device(MIB)))]) as mapper:
        write(mapper.device, b"x" * 4096)
        # A device of later than the mapper: it must not go before.
        mapper.reload([Segment(SECTORS, Linear(workspace.loop_device(MIB)))])
        assert not mapper.suspended
        assert read(mapper.device, 4096) == bytes(4096)
        workspace.close()


def test_a_table_that_the_kernel_refuses(workspace: Workspace) -> None:
    disk = workspace.loop_device(MIB)
    with pytest.raises(LoopdevsError, match="dmsetup failed"):
        workspace.mapper([Segment(SECTORS, Linear(disk, SECTORS))])
    assert mapped_devices() == {}


def test_suspended_with_somebody_waiting(workspace: Workspace) -> None:
    disk = workspace.loop_device(MIB)
    mapper = workspace.mapper([Segment(SECTORS, Linear(disk))])
    mapper.suspend()
    assert mapper.suspended
    reader = workspace.start(["dd", f"if={mapper.device}", "of=/dev/null", "iflag=direct", "bs=4096"])
    assert reader.poll() is None
    report = workspace.close()
    assert f"resumed mapped device {mapper.name}" in report.undone
    reader.wait()


def test_in_use_it_is_kept(workspace: Workspace) -> None:
    mapper = workspace.mapper([Segment(SECTORS, Linear(workspace.loop_device(MIB)))])
    with mapper.device.open("rb"), pytest.raises(LoopdevsError, match="cannot be removed: dmsetup failed"):
        workspace._ledger.undo(workspace._ledger.entries, 0.2)
    assert mapper.device.is_block_device()


def test_a_btrfs_on_a_mapped_device(workspace: Workspace) -> None:
    size = MINIMUM_DEVICE_BYTES
    disk = workspace.loop_device(size)
    mapper = workspace.mapper([Segment(size // 512, Linear(disk))])
    fs = workspace.btrfs(BtrfsLayout(size_bytes=size), [mapper.device])
    fs.mount()
    (fs.mountpoint / "file").write_text("x")
    with pytest.raises(LoopdevsError, match=f"mounted at {fs.mountpoint}"):
        mapper.destroy()
    mapper.suspend()
    workspace.close()


@pytest.fixture
def serials() -> list[str]:
    found = [(SYSFS / device.name / "serial").read_text().strip() for device in our_drives()]
    if len(found) < 2:
        pytest.skip("guest: fewer than two virtio drives with serials iodiff-NN were handed to this guest")
    return sorted(found)


def test_drives(workspace: Workspace, serials: list[str]) -> None:
    first, second = (workspace.drive(serial) for serial in serials[:2])
    layout = BtrfsLayout(devices=2, size_bytes=MINIMUM_DEVICE_BYTES, data="raid1", metadata="raid1")
    with workspace.btrfs(layout, [first, second]) as fs:
        fs.mount()
        (fs.mountpoint / "file").write_text("x")
        assert os.statvfs(fs.mountpoint).f_blocks * 4096 <= 2 * MINIMUM_DEVICE_BYTES
    cached = BcacheLayout(cache_bytes=MINIMUM_DEVICE_BYTES)
    with workspace.bcache(cached, backing=first, cache=second) as bcache:
        write(bcache.device, b"x" * 4096)
        assert read(bcache.device, 4096) == b"x" * 4096
    write(first, b"x" * 2 * MIB)
    assert workspace.drive(serials[0]) == first
    # The second half was discarded, not overwritten, and reads as what the drive gives for nothing.
    assert read(first, 2 * MIB) == bytes(2 * MIB)
    workspace.btrfs(layout, [first, second])
    bcache.destroy()
    assert read(first, MIB) != bytes(MIB)
    workspace.close()
    assert read(first, MIB) == read(second, MIB) == bytes(MIB)


def test_other_drives_are_refused(workspace: Workspace) -> None:
    with pytest.raises(NotOursError, match="no drive of this guest has the serial 'iodiff-9999'"):
        workspace.drive("iodiff-9999")
    refused: list[Callable[[], object]] = [
        lambda: workspace.drive("root"),
        lambda: workspace.btrfs(BtrfsLayout(), [Path("/dev/vda")]),
        lambda: workspace.bcache(BcacheLayout(), cache=Path("/dev/vda")),
    ]
    for attempt in refused:
        with pytest.raises(NotOursError, match="left alone"):
            attempt()
