# SPDX-License-Identifier: GPL-2.0-or-later
"""bcache, device mapper and drives without any: tables, sysfs, journals, refusals. No root needed."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopdevs import (
    Bcache,
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
    bcache_control,
    clean,
    drives,
    mapper_control,
    mapper_table,
    superblocks,
    undo,
)
from loopdevs.deadline import Deadline
from loopdevs.journal import BcacheEntry, DirectoryEntry, Entry, MapperEntry
from loopdevs.marker import Marker
from loopdevs.scene import Scene
from loopdevs.test_workdirs import forge
from loopdevs.undo import undo_all

ONE, TWO = Path("/dev/loop1"), Path("/dev/loop2")
UUID = "f75e1241-11d1-416f-bf8b-ef3fb9cd48ce"


@pytest.mark.parametrize("module", [bcache_control, mapper_control, mapper_table])
def test_examples_of_devices(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert (result.failed, result.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (Linear(ONE, 2048), "0 8 linear /dev/loop1 2048"),
        (Delay(ONE, read_ms=8), "0 8 delay /dev/loop1 0 8 /dev/loop1 0 0 /dev/loop1 0 0"),
        (Delay(ONE, 1, 2, 3, 4), "0 8 delay /dev/loop1 4 1 /dev/loop1 4 2 /dev/loop1 4 3"),
        (Flakey(ONE, 1, 9), "0 8 flakey /dev/loop1 0 1 9"),
        (
            Flakey(ONE, 0, 9, ("corrupt_bio_byte 32 r 1 0",), 5),
            "0 8 flakey /dev/loop1 5 0 9 5 corrupt_bio_byte 32 r 1 0",
        ),
        (Error(), "0 8 error"),
        (LogWrites(ONE, TWO), "0 8 log-writes /dev/loop1 /dev/loop2"),
    ],
)
def test_a_line_of_each_target(target: mapper_table.Target, line: str) -> None:
    assert mapper_table.table_text([Segment(8, target)]) == line + "\n"


def test_tables_that_are_none() -> None:
    for segments in ([], [Segment(0, Error())]):
        with pytest.raises(LoopdevsError, match="at least one sector"):
            mapper_table.table_text(segments)


def test_the_devices_of_a_table() -> None:
    segments = [Segment(1, Linear(ONE)), Segment(1, Error()), Segment(1, LogWrites(ONE, TWO))]
    assert mapper_table.devices_of(segments) == (ONE, TWO)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cache_mode": "fast"}, "cache mode 'fast' is unknown: use one of writethrough"),
        ({"replacement": "arc"}, "replacement policy 'arc' is unknown"),
        ({"bucket_bytes": 5000}, "bucket of 5000 bytes is not possible: give a power of two"),
        ({"bucket_bytes": 1 << 25}, "bucket of 33554432 bytes"),
        ({"block_bytes": 8192}, "block of 8192 bytes"),
        ({"writeback_percent": 41}, "writeback_percent 41 is not possible: give 0 to 40"),
        ({"sequential_cutoff": -1}, "sequential_cutoff -1"),
        ({"backing_bytes": 4096}, "backing device of 4096 bytes"),
        ({"cache_bytes": 512 * 65536}, "cache device of 33554432 bytes is not possible.*33619968 or more"),
    ],
)
def test_bcache_layouts_refused_with_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LoopdevsError, match=message) as caught:
        BcacheLayout(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "1.2.3k", "fast", "1.0x"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        bcache_control.parse_size(text)


class Sysfs:
    """A sysfs with one bcache set on loop2, whose backing device is a name of our choice."""

    def __init__(self, root: Path, backing: str) -> None:
        self.block, self.sets = root / "block", root / "sets"
        self.set = self.sets / UUID
        self.set.mkdir(parents=True)
        for device in (backing, "loop2"):
            (self.block / device / "bcache").mkdir(parents=True)
        (self.block / backing / "bcache" / "dev").symlink_to("../../bcache7")
        (self.block / "loop2" / "bcache" / "set").symlink_to(self.set)
        (self.set / "bdev0").symlink_to(self.block / backing / "bcache")
        (self.set / "cache0").symlink_to(self.block / "loop2" / "bcache")
        self.stop = self.set / "stop"


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Sysfs]:
    def make(backing: str) -> Sysfs:
        made = Sysfs(tmp_path, backing)
        monkeypatch.setattr(bcache_control, "SETS", made.sets)
        monkeypatch.setattr(bcache_control, "SYSFS", made.block)
        return made

    return make


def test_a_set_with_a_foreign_backing_device_is_left_alone(sysfs: Callable[[str], Sysfs]) -> None:
    fake = sysfs("sdz")
    with pytest.raises(NotOursError, match="/dev/sdz, which is not ours, is attached to"):
        bcache_control.stop(TWO, lambda device: device == TWO, Deadline(0))
    assert not fake.stop.exists()


def test_a_set_in_use_is_left_alone(sysfs: Callable[[str], Sysfs], monkeypatch: pytest.MonkeyPatch) -> None:
    fake = sysfs("loop1")
    monkeypatch.setattr(bcache_control, "where_mounted", lambda device: [Path("/mnt"), device])
    with pytest.raises(LoopdevsError, match="/dev/bcache7 is mounted at /mnt"):
        bcache_control.stop(TWO, lambda _: True, Deadline(0))
    monkeypatch.setattr(bcache_control, "where_mounted", lambda _: [])
    (fake.block / "bcache7" / "holders" / "dm-0").mkdir(parents=True)
    with pytest.raises(LoopdevsError, match="dm-0 still stands on it"):
        bcache_control.stop(TWO, lambda _: True, Deadline(0))
    assert not fake.stop.exists()


def test_a_set_of_ours_is_stopped_and_waited_for(sysfs: Callable[[str], Sysfs]) -> None:
    fake = sysfs("loop1")
    with pytest.raises(LoopdevsError, match="bcache does not let go of /dev/loop2 within 0 s"):
        bcache_control.stop(TWO, lambda _: True, Deadline(0))
    assert fake.stop.read_text() == "1"
    assert not bcache_control.stop(Path("/dev/loop3"), lambda _: True, Deadline(0))


@pytest.mark.parametrize(("state", "refused"), [("no cache", True), ("inconsistent", True), ("dirty", False)])
def test_no_cache_is_refused(sysfs: Callable[[str], Sysfs], state: str, refused: bool) -> None:
    fake = sysfs("loop1")
    (fake.block / "loop1" / "bcache" / "state").write_text(f"{state}\n")
    bcache = Bcache.__new__(Bcache)
    bcache.backing = ONE
    if not refused:
        bcache.require_cache()
        return
    with pytest.raises(LoopdevsError, match=f'/dev/bcache7 has the state "{state}"'):
        bcache.require_cache()


def test_a_device_that_is_not_registered_is_told(sysfs: Callable[[str], Sysfs]) -> None:
    sysfs("loop1")
    bcache = Bcache.__new__(Bcache)
    bcache.backing = Path("/dev/loop3")
    for read in (lambda: bcache.state, lambda: bcache.dirty_bytes, bcache.stats):
        with pytest.raises(LoopdevsError, match="/dev/loop3 is not in bcache"):
            read()


@pytest.mark.parametrize("device", ["/dev/sda", "/dev/loop0", "/dev/vda", "sda"])
def test_devices_not_made_by_us_are_refused(tmp_path: Path, device: str) -> None:
    with Workspace.create(tmp_path) as workspace:
        attempts: list[Callable[[], object]] = [
            lambda: workspace.mapper([Segment(8, Linear(Path(device)))]),
            lambda: workspace.mapper([Segment(8, LogWrites(Path(device), Path(device)))]),
            lambda: workspace.btrfs(BtrfsLayout(), [Path(device)]),
        ]
        for attempt in attempts:
            with pytest.raises(NotOursError, match=f"{device} was not made by this run"):
                attempt()


def test_as_many_devices_as_the_layout_has(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as workspace, pytest.raises(LoopdevsError, match="has 1 devices, 2 are"):
        workspace.btrfs(BtrfsLayout(), [ONE, TWO])


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "bcache", "name": "/dev/sda"},
        {"kind": "bcache", "name": "../../../dev/sda"},
        {"kind": "btrfs-scan", "name": "/dev/sda"},
        {"kind": "mapper", "name": "vg-home"},
        {"kind": "mapper", "name": "iodiff-0123456789abcdef-0"},
        {"kind": "drive", "name": "sda"},
        {"kind": "drive", "name": "iodiff-1x"},
        {"kind": "drive"},
    ],
)
def test_a_journal_cannot_speak_of_other_devices(tmp_path: Path, line: dict[str, object]) -> None:
    forge(tmp_path / "run", line)
    report = clean(tmp_path)
    assert report.undone == ()
    assert any("left alone" in reason for reason in report.failed)


def test_suspended_devices_are_resumed_before_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = Marker.of_this_process(created=True)
    name = mapper_control.mapper_name(marker.token, 0)
    done: list[str] = []

    def note(name: str, *_: object) -> bool:
        done.append(name)
        return True

    monkeypatch.setattr(undo, "wake", lambda *_: note("wake"))
    monkeypatch.setattr(undo, "remove_mapped", lambda *_: note("remove"))
    (tmp_path / "empty").mkdir()
    entries: list[Entry] = [MapperEntry(name), DirectoryEntry("empty"), MapperEntry(name)]
    report = undo_all(entries, Scene.of(tmp_path, marker, entries), Deadline(0))
    assert done == ["wake", "remove", "remove"]
    assert report.undone[0] == f"resumed mapped device {name}"


def test_a_kernel_without_bcache_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(bcache_control, "SETS", tmp_path / "fs/bcache")
    monkeypatch.setattr(bcache_control, "try_to_load", asked.extend)
    with Workspace.create(tmp_path / "run") as workspace:
        before = sorted((tmp_path / "run").iterdir())
        with pytest.raises(LoopdevsError) as refused:
            workspace.bcache(BcacheLayout())
        assert sorted((tmp_path / "run").iterdir()) == before
    assert "no module of that name can be loaded: give it its modules, or use a" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert asked == ["bcache"]
    assert list(tmp_path.iterdir()) == []


def test_an_entry_without_its_device_has_nothing_to_undo(tmp_path: Path) -> None:
    marker = Marker.of_this_process(created=True)
    entries: list[Entry] = [BcacheEntry("bcache-0/backing.img")]
    assert undo_all(entries, Scene.of(tmp_path, marker, entries), Deadline(0)).lines() == ["nothing to undo"]


@pytest.fixture
def virtio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, serial in (("vda", "root"), ("vdb", "iodiff-00"), ("vdc", "iodiff-01"), ("vdd", "iodiff-01")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "serial").write_text(serial)
    # Of another driver: it may show what it likes.
    (tmp_path / "sda").mkdir()
    (tmp_path / "sda" / "serial").write_text("iodiff-07")
    monkeypatch.setattr(drives, "SYSFS", tmp_path)
    return tmp_path


def test_drives_are_known_by_their_serials(virtio: Path) -> None:
    assert drives.find_drive("iodiff-00") == Path("/dev/vdb")
    for serial in ("iodiff-07", "iodiff-99"):
        with pytest.raises(NotOursError, match=f"no drive of this guest has the serial '{serial}'"):
            drives.find_drive(serial)
    for serial in ("root", "", "iodiff-", "iodiff-0", "iodiff-00x"):
        with pytest.raises(NotOursError, match="is not the serial of a drive of ours"):
            drives.find_drive(serial)
    with pytest.raises(LoopdevsError, match="2 drives have the serial iodiff-01"):
        drives.find_drive("iodiff-01")
    assert [device.name for device in drives.our_drives()] == ["vdb", "vdc", "vdd"]
    assert virtio.is_dir()


def test_wiping_blanks_the_head_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "device"
    file.write_bytes(b"x" * (superblocks.HEAD_BYTES + 4096))
    assert superblocks.wipe(file, Deadline(0))
    assert file.read_bytes() == bytes(superblocks.HEAD_BYTES) + b"x" * 4096
    assert not superblocks.wipe(file, Deadline(0))
    with pytest.raises(LoopdevsError, match="cannot be wiped: No such file"):
        superblocks.wipe(tmp_path / "none", Deadline(0))
