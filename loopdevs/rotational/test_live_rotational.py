# SPDX-License-Identifier: GPL-2.0-or-later
"""Rotational loop devices on the real kernel: their order and their times, and that they go."""

from __future__ import annotations

import mmap
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from loopdevs import (
    BtrfsLayout,
    LoopdevsError,
    RotationalDevice,
    RotationalLayout,
    ServedRequest,
    Workspace,
    clean,
    shrunk,
)
from loopdevs.journal import JOURNAL_FILE, ServerEntry, parse_journal
from loopdevs.leftovers import kernel_leftovers
from loopdevs.loop import uses_direct_io
from loopdevs.processes import process
from loopdevs.rotational import libfuse
from loopdevs.rotational.virtual import in_virtual_time
from loopdevs.test_live_kill import killed_at, whole_length

pytestmark = [pytest.mark.live, pytest.mark.fuse]

SIZE = 256 << 20
LAYOUT = RotationalLayout(SIZE, shrunk(SIZE), scale=0.2)
ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "run") as workspace:
        yield workspace
    assert kernel_leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def read_random_blocks(device: Path, count: int, seed: int) -> None:
    """Read blocks of 16 KiB, one after the other, past the page cache."""
    choice = random.Random(seed)
    descriptor = os.open(device, os.O_RDONLY | os.O_DIRECT)
    with mmap.mmap(-1, 16384) as buffer:
        for _ in range(count):
            assert os.preadv(descriptor, [buffer], choice.randrange(SIZE // 16384) * 16384) == 16384
    os.close(descriptor)


def read_at_once(devices: list[Path], readers: int, count: int) -> None:
    """Read from each of `devices` by so many threads."""
    threads = [
        threading.Thread(target=read_random_blocks, args=(device, count, seed))
        for seed, device in enumerate(device for device in devices for _ in range(readers))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


def assert_as_in_virtual_time(served: list[ServedRequest]) -> None:
    assert all(a.end_ns <= b.begin_ns for a, b in pairwise(served))
    assert all(request.end_ns <= request.told_ns for request in served)
    assert [(v.tag, v.started_ns, v.ended_ns) for v in in_virtual_time(LAYOUT, served)] == [
        (s.number, s.begin_ns, s.end_ns) for s in served
    ]


def test_several_disks_at_once_do_as_in_virtual_time(workspace: Workspace) -> None:
    disks = [workspace.rotational_device(LAYOUT) for _ in range(4)]
    assert all(uses_direct_io(disk.device) for disk in disks)
    read_at_once([disk.device for disk in disks], readers=3, count=40)
    for disk in disks:
        served = disk.served()
        # Somebody else on the machine may have looked at a new device.
        assert len([request for request in served if request.nbytes == 16384]) >= 3 * 40
        assert_as_in_virtual_time(served)


def test_a_queue_reaches_the_disk_which_chooses_from_it(workspace: Workspace) -> None:
    disk = workspace.rotational_device(LAYOUT)
    read_at_once([disk.device], readers=8, count=20)
    order = [request.number for request in disk.served()]
    assert order != sorted(order)


def test_btrfs_on_disks_keeps_what_is_written_to_it(workspace: Workspace) -> None:
    disks = [workspace.rotational_device(LAYOUT) for _ in range(2)]
    layout = BtrfsLayout(2, SIZE, "raid1", "raid1")
    filesystem = workspace.btrfs(layout, [disk.device for disk in disks])
    filesystem.mount()
    assert "ssd" not in mount_options(filesystem.mountpoint)
    fio(filesystem.mountpoint, "--rw=randwrite", "--verify=crc32c", "--do_verify=1")
    filesystem.umount()
    assert all(any(request.write for request in disk.served()) for disk in disks)
    for disk in disks:
        assert_as_in_virtual_time(disk.served())
    filesystem.mount()
    fio(filesystem.mountpoint, "--rw=randread", "--verify=crc32c", "--verify_only")


def mount_options(point: Path) -> list[str]:
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    (options,) = [options for _, where, _, options, *_ in lines if where == str(point)]
    return options.split(",")


def fio(folder: Path, *arguments: str) -> None:
    job = ["--name=job", "--filename=file", "--size=2M", "--bs=16k", "--direct=1", "--ioengine=libaio"]
    command = ["fio", f"--directory={folder}", *job, "--iodepth=8", "--randseed=7", *arguments]
    # There, for fio leaves the state of a verification where it runs.
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=DEADLINE_S)


def test_what_is_done_at_once_is_not_timed_and_stays(workspace: Workspace) -> None:
    disk = workspace.rotational_device(RotationalLayout(SIZE, shrunk(SIZE), scale=1000.0))
    with disk.at_once():
        data = os.urandom(1 << 20)
        write(disk.device, data)
        assert disk.device.read_bytes()[: len(data)] == data


def test_an_image_put_on_it_is_read(workspace: Workspace) -> None:
    disk = workspace.rotational_device(LAYOUT)
    assert disk.device.read_bytes()[:4096] == bytes(4096)
    image = workspace.path("some.img")
    image.write_bytes(os.urandom(1 << 20))
    disk.load(image)
    with disk.device.open("rb") as device:
        assert device.read(1 << 20) == image.read_bytes()


def write(device: Path, data: bytes) -> None:
    with device.open("r+b") as file:
        file.write(data)
        os.fsync(file.fileno())


def test_a_disk_that_was_removed_is_gone(workspace: Workspace, tmp_path: Path) -> None:
    disk = workspace.rotational_device(LAYOUT)
    disk.destroy()
    disk.destroy()
    assert kernel_leftovers(tmp_path) == []
    assert server_of(workspace.directory) is None


def test_closing_does_not_wait_for_a_slow_disk(workspace: Workspace) -> None:
    disk = workspace.rotational_device(RotationalLayout(SIZE, shrunk(SIZE), scale=1000.0))
    descriptor = os.open(disk.device, os.O_WRONLY)
    os.pwrite(descriptor, bytes(8 << 20), 0)
    # Written back by the last close, which takes hours unless the disk is told to hurry.
    closer = threading.Thread(target=os.close, args=(descriptor,))
    closer.start()
    workspace.close()
    closer.join(DEADLINE_S)
    assert not closer.is_alive()


OWNER = """
import sys, time
from pathlib import Path
from loopdevs import *
size = 256 << 20
workspace = Workspace.create(Path(sys.argv[1]))
disk = workspace.rotational_device(RotationalLayout(size, shrunk(size), scale=0.2))
filesystem = workspace.btrfs(BtrfsLayout(size_bytes=size), [disk.device])
filesystem.mount()
(filesystem.mountpoint / "file").write_bytes(bytes(4 << 20))
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return a process that has made a btrfs with dirty data on a disk, and waits."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def server_of(directory: Path) -> ServerEntry | None:
    """Return the entry of the disk of the run there, if its process lives."""
    entries, _ = parse_journal((directory / JOURNAL_FILE).read_text())
    (entry,) = (entry for entry in entries if isinstance(entry, ServerEntry))
    found = process(entry.pid)
    return entry if found and found.alive and found.start_time == entry.start_time else None


def test_the_disk_ends_with_its_owner_and_clean_removes_the_rest(
    owner: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert server_of(tmp_path / "run") is not None
    owner.kill()
    owner.wait()
    report = clean(tmp_path)
    assert report.failed == ()
    assert kernel_leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_does_not_obey_is_killed(owner: subprocess.Popen[str], tmp_path: Path) -> None:
    entry = server_of(tmp_path / "run")
    assert entry is not None
    # It neither serves nor sees that its owner has gone; unmounting would wait for it for ever.
    os.kill(entry.pid, signal.SIGSTOP)
    owner.kill()
    owner.wait()
    assert clean(tmp_path).failed == ()
    assert kernel_leftovers(tmp_path) == []


BODY = """
    size = 256 << 20
    disk = workspace.rotational_device(RotationalLayout(size, shrunk(size), scale=0.01))
    fs = workspace.btrfs(BtrfsLayout(size_bytes=size), [disk.device])
    fs.mount()
    (fs.mountpoint / "file").write_bytes(bytes(1 << 20))
    workspace.rotational_drive(RotationalLayout(size, shrunk(size))).destroy()
"""
MOMENTS = 20


@pytest.fixture(scope="module")
def length(tmp_path_factory: pytest.TempPathFactory) -> int:
    return whole_length(tmp_path_factory.mktemp("whole") / "run", BODY)


@pytest.mark.parametrize("part", range(MOMENTS))
def test_killed_at_a_random_moment(tmp_path: Path, length: int, part: int) -> None:
    moment = random.Random(part).randrange(length * part // MOMENTS, length * (part + 1) // MOMENTS) + 1
    status = killed_at(tmp_path / "run", BODY, moment)
    # Waits are counted too, and may be shorter than in the whole run: then the last moments do not come.
    assert status == -9 or (status == 0 and part > MOMENTS // 2)
    report = clean(tmp_path)
    assert report.failed == ()
    assert kernel_leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_without_libfuse_one_line_says_so(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(libfuse.LIBFUSE, "FUSE_LIBRARY_NAME", "no-such-library")
    assert libfuse.fuse_missing().startswith("libfuse 3 is not installed: install ")
    monkeypatch.undo()
    # The process itself looks too: the owner may be another user, or have another root.
    monkeypatch.setattr("loopdevs.rotational.server.sys.executable", "/no/such/python")
    with pytest.raises(LoopdevsError, match=r"^no rotational disk: .*not found"):
        workspace.rotational_device(LAYOUT)
    assert kernel_leftovers(tmp_path) == []


def test_it_is_a_rotational_device_to_the_kernel(workspace: Workspace) -> None:
    disk: RotationalDevice = workspace.rotational_device(LAYOUT)
    assert Path(f"/sys/block/{disk.device.name}/queue/rotational").read_text() == "1\n"
