# SPDX-License-Identifier: GPL-2.0-or-later
"""Loop devices, btrfs and tracing on the real kernel."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loopdevs import (
    Bcache,
    BtrfsFilesystem,
    BtrfsLayout,
    LoopdevsError,
    NotOursError,
    Workspace,
    bcache_control,
    clean,
    loop,
    superblocks,
    tools,
)
from loopdevs.control import forget_device
from loopdevs.deadline import Deadline
from loopdevs.layout import MINIMUM_DEVICE_BYTES, MINIMUM_DEVICES
from loopdevs.leftovers import kernel_leftovers, tracing_instances
from loopdevs.mounts import mount_at

pytestmark = pytest.mark.live

SMALL = BtrfsLayout(size_bytes=MINIMUM_DEVICE_BYTES)
MIRRORED = BtrfsLayout(devices=2, size_bytes=MINIMUM_DEVICE_BYTES, data="raid1", metadata="raid1")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Return a work root; nothing in the kernel and no run may be left in it afterwards."""
    root = tmp_path / "root"
    root.mkdir()
    yield root
    assert kernel_leftovers(tmp_path) == []
    assert list(root.iterdir()) == []


@contextmanager
def tmpfs(point: Path, size: str) -> Iterator[Path]:
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)


@pytest.mark.parametrize("profile", MINIMUM_DEVICES)
def test_life_of_each_profile(root: Path, profile: str) -> None:
    layout = BtrfsLayout(
        devices=MINIMUM_DEVICES[profile], size_bytes=MINIMUM_DEVICE_BYTES, data=profile, metadata=profile
    )
    data = os.urandom(1 << 20)
    with Workspace.create(root / "run") as workspace, workspace.btrfs(layout) as fs:
        assert not fs.mounted
        fs.mount(("noatime",))
        assert len(list(Path(f"/sys/fs/btrfs/{fs.fsid}/devices").iterdir())) == layout.devices
        (fs.mountpoint / "file").write_bytes(data)
        fs.umount()
        assert not fs.mounted
        fs.mount()
        assert (fs.mountpoint / "file").read_bytes() == data
        fs.destroy()
        fs.destroy()
        assert kernel_leftovers(root) == []
        assert not fs.backing_files[0].exists()


def test_what_is_said_of_the_devices_is_so(root: Path) -> None:
    with Workspace.create(root / "run") as workspace, workspace.btrfs(MIRRORED) as fs:
        listing = ["losetup", "--noheadings", "--list", "--output", "BACK-FILE,DIO,RO"]
        for device, file in zip(fs.devices, fs.backing_files, strict=True):
            shown = subprocess.run([*listing, device], capture_output=True, text=True, check=True)
            assert shown.stdout.split() == [str(file), "1" if fs.direct_io else "0", "0"]
        found: list[str | Path] = [
            "findmnt",
            "--noheadings",
            "--output",
            "FSTYPE",
            "--target",
            fs.backing_files[0],
        ]
        shown = subprocess.run(found, capture_output=True, text=True, check=True)
        assert shown.stdout.strip() == fs.backing
        assert fs.backing_files[0].stat().st_blocks * 512 < MINIMUM_DEVICE_BYTES


def test_mount_options_reach_the_kernel(root: Path) -> None:
    layout = BtrfsLayout(size_bytes=MINIMUM_DEVICE_BYTES, mount_options=("compress=zstd:3",))
    with Workspace.create(root / "run") as workspace, workspace.btrfs(layout) as fs:
        fs.mount()
        assert "compress=zstd:3" in _options(fs.mountpoint)
        with pytest.raises(LoopdevsError, match="mounted already"):
            fs.mount()
        fs.umount()
        fs.mount(("nodatacow",))
        assert "nodatacow" in _options(fs.mountpoint)
        assert "compress" not in _options(fs.mountpoint)


def test_room_to_grow_is_no_part_of_the_file_system(root: Path) -> None:
    layout = BtrfsLayout(size_bytes=MINIMUM_DEVICE_BYTES, room_bytes=8 << 20)
    with Workspace.create(root / "run") as workspace, workspace.btrfs(layout) as filesystem:
        filesystem.mount()
        assert _bytes(filesystem.mountpoint) == MINIMUM_DEVICE_BYTES
        subprocess.run(["btrfs", "filesystem", "resize", "max", filesystem.mountpoint], check=True)
        assert _bytes(filesystem.mountpoint) == layout.device_bytes


def _bytes(mountpoint: Path) -> int:
    status = os.statvfs(mountpoint)
    return status.f_blocks * status.f_frsize


def test_a_device_can_be_missing(root: Path) -> None:
    layout = BtrfsLayout(devices=3, size_bytes=MINIMUM_DEVICE_BYTES, metadata="raid1")
    with Workspace.create(root / "run") as workspace, workspace.btrfs(layout) as filesystem:
        for gone in filesystem.devices[:2]:
            filesystem.mount(["ro", "degraded"], without=[gone])
            shown = {link.name for link in Path(f"/sys/fs/btrfs/{filesystem.fsid}/devices").iterdir()}
            assert shown == {device.name for device in filesystem.devices if device != gone}
            filesystem.umount()
        filesystem.mount()
        shown = {link.name for link in Path(f"/sys/fs/btrfs/{filesystem.fsid}/devices").iterdir()}
        assert len(shown) == 3


def test_btrfs_forgets_the_devices(root: Path) -> None:
    with Workspace.create(root / "run") as workspace:
        fs = workspace.btrfs(MIRRORED)
        fs.mount()
        report = workspace.close()
    for device in fs.devices:
        assert f"made btrfs forget {device}" in report.undone


def test_two_runs_side_by_side(root: Path) -> None:
    with Workspace.create(root / "one") as one, Workspace.create(root / "two") as two:
        first, second = one.btrfs(MIRRORED), two.btrfs(MIRRORED)
        first.mount()
        second.mount()
        (second.mountpoint / "file").write_text("x")
        assert set(first.devices).isdisjoint(second.devices)
        one.close()
        assert (second.mountpoint / "file").read_text() == "x"
        assert clean(root).undone == ()
        assert second.mounted


def test_runs_in_a_race_for_devices(root: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from loopdevs import *\n"
        "for i in range(4):\n"
        "    with Workspace.create(Path(sys.argv[1])) as w, w.btrfs(BtrfsLayout(devices=3)) as fs:\n"
        "        fs.mount(); (fs.mountpoint / 'file').write_text('x'); fs.umount()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    runs = [
        subprocess.Popen([sys.executable, "-c", script, root / str(i)], env=environment) for i in range(4)
    ]
    assert [run.wait() for run in runs] == [0, 0, 0, 0]


def test_another_process_takes_the_free_device(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Workspace.create(root / "run") as workspace:
        first = workspace.btrfs(SMALL)
        find_free: Callable[[], Path] = loop._free_device
        answers = [first.devices[0], first.devices[0]]
        monkeypatch.setattr(loop, "_free_device", lambda: answers.pop() if answers else find_free())
        second = workspace.btrfs(SMALL)
        assert answers == []
        assert second.devices != first.devices
        assert loop.attached_below(first.backing_files[0]) == list(first.devices)


@pytest.mark.parametrize(("number", "message"), [(errno.ENOSPC, "is in use"), (errno.EPERM, "run as root")])
def test_no_device_to_be_had(root: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str) -> None:
    def refuse() -> Path:
        raise OSError(number, os.strerror(number))

    with Workspace.create(root / "run") as workspace:
        monkeypatch.setattr(loop, "_free_device", refuse)
        with pytest.raises(LoopdevsError, match=message):
            workspace.btrfs(SMALL)
        _assert_bare(workspace)


def test_without_root(root: Path) -> None:
    reader, writer = os.pipe()
    nobody = 65534
    (root / "run").mkdir()
    os.chown(root / "run", nobody, nobody)
    for parent in [root, *root.parents]:
        if not parent.stat().st_mode & 1:
            parent.chmod(parent.stat().st_mode | 0o011)
    child = os.fork()
    if child == 0:
        os.setresgid(nobody, nobody, nobody)
        os.setresuid(nobody, nobody, nobody)
        try:
            with Workspace.create(root / "run") as workspace:
                workspace.btrfs(SMALL)
        except LoopdevsError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    message = os.read(reader, 4096).decode()
    os.close(reader)
    assert "run as root" in message
    assert "left behind" not in message
    assert list((root / "run").iterdir()) == []
    (root / "run").rmdir()


def test_tools_that_are_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Workspace.create(root / "run") as workspace:
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "which", lambda *_, **__: None)
            with pytest.raises(LoopdevsError, match=r"mkfs\.btrfs is not installed: install btrfs-progs"):
                workspace.btrfs(SMALL)
        _assert_bare(workspace)


def test_tools_hold_the_lock(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "mkfs.btrfs"
    fake.write_text('#!/bin/sh\nreadlink /proc/$$/fd/* | grep "iodiff-workspace" >&2\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with (
        Workspace.create(root / "run") as workspace,
        pytest.raises(LoopdevsError, match=r"run/iodiff-workspace\.json"),
    ):
        workspace.btrfs(SMALL)


def test_a_tool_that_does_not_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Workspace.create(root / "run") as workspace:
        monkeypatch.setattr(tools, "DEADLINE_S", 0.0)
        with pytest.raises(LoopdevsError, match="did not end within 0 s"):
            workspace.btrfs(SMALL)
        _assert_bare(workspace)


def test_a_mount_that_fails(root: Path) -> None:
    with Workspace.create(root / "run") as workspace, workspace.btrfs(MIRRORED) as fs:
        with pytest.raises(LoopdevsError, match="mount failed") as caught:
            fs.mount(("no-such-option",))
        assert "\n" not in str(caught.value)
        assert not fs.mounted
        fs.mount()


def test_full_disk(root: Path) -> None:
    with tmpfs(root / "full", "64k") as full:
        with pytest.raises(LoopdevsError, match=r"is on tmpfs at .*/full with 0\.1 MiB free"):
            Workspace.create(full / "run", minimum_bytes=1 << 20)
        with Workspace.create(full / "run") as workspace:
            with pytest.raises(LoopdevsError, match=r"MiB free, 16\.0 MiB are needed") as caught:
                workspace.btrfs(SMALL)
            assert "left behind" not in str(caught.value)
            _assert_bare(workspace)
        (full / "filler").write_bytes(bytes(os.statvfs(full).f_bavail * os.statvfs(full).f_frsize))
        with pytest.raises(LoopdevsError, match="No space left on device"):
            Workspace.create(full / "run")
        assert [p.name for p in full.iterdir()] == ["filler"]
    (root / "full").rmdir()


def test_a_busy_mount_names_its_holder(root: Path) -> None:
    with Workspace.create(root / "run") as workspace, workspace.btrfs(SMALL) as fs:
        fs.mount()
        with (fs.mountpoint / "file").open("w"):
            with pytest.raises(LoopdevsError, match=rf"held by .*\(pid {os.getpid()}\)"):
                fs.umount(deadline_s=0.05)
            assert fs.mounted
        fs.umount()


def test_a_holder_that_survives_is_waited_for(root: Path) -> None:
    workspace = Workspace.create(root / "run")
    fs = workspace.btrfs(SMALL)
    fs.mount()
    with (fs.mountpoint / "file").open("w"), pytest.raises(LoopdevsError, match="still busy"):
        workspace.close(deadline_s=0.05)
    assert loop.attached_below(root) == list(fs.devices)
    assert clean(root).complete


def test_tracing_instances(root: Path) -> None:
    before = tracing_instances()
    with Workspace.create(root / "run") as workspace:
        one, two = workspace.tracing(), workspace.tracing()
        assert (one / "trace_pipe").exists()
        assert {one.name, two.name} <= tracing_instances()
    assert {one.name, two.name}.isdisjoint(tracing_instances() - before)


def test_tracefs_of_another_run_is_not_used(root: Path) -> None:
    with Workspace.create(root / "one") as one, Workspace.create(root / "two") as two:
        first, second = one.tracing(), two.tracing()
        one.close()
        assert not first.exists()
        assert (second / "trace_pipe").exists()


def test_an_instance_that_is_read_keeps_its_mount(root: Path) -> None:
    workspace = Workspace.create(root / "run")
    instance = workspace.tracing()
    with (instance / "trace_pipe").open(), pytest.raises(LoopdevsError, match="in use for"):
        workspace.close(deadline_s=0.05)
    assert instance.exists()
    assert clean(root).complete
    assert instance.name not in tracing_instances()


def test_a_bare_loop_device(root: Path) -> None:
    with Workspace.create(root / "run") as workspace:
        device = workspace.loop_device(1 << 20)
        assert loop.attached_below(root) == [device]
        with device.open("rb") as opened:
            assert opened.seek(0, os.SEEK_END) == 1 << 20


def test_a_discarded_device_takes_no_space(root: Path) -> None:
    with Workspace.create(root / "run") as workspace:
        device = workspace.loop_device(4 << 20)
        with device.open("r+b") as opened:
            opened.write(b"x" * (4 << 20))
            os.fsync(opened.fileno())
        (file,) = (root / "run").glob("loop-*")
        assert file.stat().st_blocks * 512 >= 4 << 20
        assert superblocks.discard(device, Deadline(0))
        assert file.stat().st_blocks * 512 < 1 << 20
        with workspace.btrfs(SMALL) as fs:
            fs.mount()
            with pytest.raises(LoopdevsError, match="cannot be discarded: in use for 0 s: see what holds it"):
                superblocks.discard(fs.devices[0], Deadline(0))


def test_a_stopped_bcache_is_waited_for_until_its_devices_are_closed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel closes them after all that shows in sysfs is gone; here something else holds one as long."""
    monkeypatch.setattr(bcache_control, "stop", lambda *_: True)
    with Workspace.create(root / "run") as workspace:
        bcache = Bcache.__new__(Bcache)
        bcache._ledger = workspace._ledger
        bcache.cache, bcache.backing = workspace.loop_device(1 << 20), workspace.loop_device(1 << 20)
        bcache.stop(deadline_s=0)
        held = os.open(bcache.backing, os.O_RDONLY | os.O_EXCL)
        with pytest.raises(LoopdevsError, match=f"{bcache.backing} is not let go of: in use for 0 s"):
            bcache.stop(deadline_s=0)
        threading.Timer(0.2, os.close, [held]).start()
        bcache.stop(deadline_s=30)
        os.close(os.open(bcache.backing, os.O_RDONLY | os.O_EXCL))


def test_a_device_on_a_file_of_the_same_name(root: Path) -> None:
    with Workspace.create(root / "one") as one, Workspace.create(root / "two") as two:
        ours, theirs = one.btrfs(SMALL), two.btrfs(SMALL)
        assert ours.backing_files[0].name == theirs.backing_files[0].name
        backing = loop.BackingFile.of(ours.backing_files[0])
        with pytest.raises(NotOursError, match="does not stand on"):
            loop.detach(theirs.devices[0], backing, Deadline(0))
        # The same inode under another name, as a hard link in a work directory would show it.
        linked = two.path("linked")
        linked.hardlink_to(ours.backing_files[0])
        assert loop.attached_to(loop.BackingFile.of(linked)) == []
        # The same name, another inode: what had the name before is not what has it now.
        replaced = loop.BackingFile(backing.path, backing.device, backing.inode + 1)
        with pytest.raises(NotOursError, match="does not stand on"):
            loop.detach(ours.devices[0], replaced, Deadline(0))
        assert len(loop.attached_below(root)) == 2


def test_a_symbolic_link_to_the_file_of_somebody_else(root: Path) -> None:
    with Workspace.create(root / "one") as one, Workspace.create(root / "two") as two:
        theirs = two.btrfs(SMALL)
        link = one.path("device.img")
        link.symlink_to(theirs.backing_files[0])
        assert loop.attached_to(loop.BackingFile.of(link)) == []
        one.close()
        assert loop.attached_below(root) == list(theirs.devices)
        assert theirs.backing_files[0].exists()


def test_a_mount_that_moved_out(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    workspace = Workspace.create(root / "run")
    fs = workspace.btrfs(MIRRORED)
    fs.mount()
    # As good as mount --move, which a shared parent does not allow.
    subprocess.run(["mount", "--bind", fs.mountpoint, elsewhere], check=True)
    try:
        fs.umount()
        with pytest.raises(LoopdevsError, match=f"mounted at {elsewhere}"):
            workspace.close(deadline_s=0.05)
        assert mount_at(elsewhere) is not None
        assert all(file.exists() for file in fs.backing_files)
        assert loop.attached_below(root) == list(fs.devices)
    finally:
        subprocess.run(["umount", elsewhere], check=True)
    assert clean(root).complete


def test_a_foreign_mount_on_our_mount_point(root: Path) -> None:
    with Workspace.create(root / "run") as workspace, workspace.btrfs(SMALL) as fs:
        fs.mount()
        with tmpfs(fs.mountpoint, "1m"):
            with pytest.raises(LoopdevsError, match="tmpfs from tmpfs is mounted there"):
                workspace._ledger.undo(workspace._ledger.entries, 0.05)
            top = mount_at(fs.mountpoint)
            assert top is not None
            assert top.type == "tmpfs"
        assert fs.mounted


def test_a_file_with_a_device_of_others_on_it_is_kept(root: Path) -> None:
    with Workspace.create(root / "run") as workspace:
        folder = workspace.path("folder")
        folder.mkdir()
        image = folder / "image"
        image.touch()
        os.truncate(image, 1 << 20)
        device = loop.attach(loop.BackingFile.of(image))
        with pytest.raises(LoopdevsError, match=f"{device} still stands on it"):
            workspace._ledger.undo(workspace._ledger.entries, 0.05)
        assert image.exists()
        loop.detach(device, loop.BackingFile.of(image), Deadline(10))


def test_a_folder_with_a_mount_of_others_in_it_is_kept(root: Path) -> None:
    with Workspace.create(root / "run") as workspace:
        folder = workspace.path("folder")
        folder.mkdir()
        with tmpfs(folder / "theirs", "1m") as theirs:
            (theirs / "thesis.tex").touch()
            with pytest.raises(LoopdevsError, match="something is mounted at"):
                workspace._ledger.undo(workspace._ledger.entries, 0.05)
            assert (theirs / "thesis.tex").exists()


def test_a_mounted_member_is_neither_forgotten_nor_detached(root: Path) -> None:
    with Workspace.create(root / "run") as workspace, workspace.btrfs(MIRRORED) as fs:
        fs.mount()
        with pytest.raises(LoopdevsError, match="does not forget"):
            forget_device(fs.devices[1], Deadline(0))
        with pytest.raises(LoopdevsError, match="cannot be detached: Device or resource busy"):
            loop.detach(fs.devices[1], loop.BackingFile.of(fs.backing_files[1]), Deadline(0))


def test_a_failed_file_system_does_not_harm_the_next(root: Path) -> None:
    with Workspace.create(root / "run") as workspace:
        with pytest.raises(LoopdevsError, match=r"mkfs\.btrfs failed"):
            workspace.btrfs(BtrfsLayout(size_bytes=MINIMUM_DEVICE_BYTES, mkfs_options=("-n", "12345")))
        _assert_bare(workspace)
        fs: BtrfsFilesystem = workspace.btrfs(SMALL)
        fs.mount()


def _options(point: Path) -> str:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return next(line.split()[3] for line in lines if line.split()[1] == str(point))


def _assert_bare(workspace: Workspace) -> None:
    """Nothing but marker and journal is there, and the kernel has nothing of it."""
    assert kernel_leftovers(workspace.directory) == []
    assert len(list(workspace.directory.iterdir())) == 2
