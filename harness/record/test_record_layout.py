# SPDX-License-Identifier: GPL-2.0-or-later
"""What is read of the tools' and the block layer's reports."""

from __future__ import annotations

from pathlib import Path

import pytest
import sh

from harness.record.layout import device_counters, filesystem_layout
from loopdevs import BtrfsLayout, Workspace

# Written by btrfs-progs 6.2 for two devices of 256 MiB: data raid0, metadata raid1, half of a file in each.
USAGE = """\
/dev/loop1, ID: 1
   Device size:           268435456
   Device slack:                  0
   Data,RAID0/2:           67108864
   Metadata,RAID1:         33554432
   System,RAID1:            8388608
   Unallocated:           159383552

/dev/loop2, ID: 2
   Device size:           268435456
   Device slack:               4096
   Data,RAID0/2:           67108864
   Metadata,RAID1:         33554432
   System,RAID1:            8388608
   Unallocated:           159379456

"""


def test_the_space_of_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def btrfs(*arguments: str) -> str:
        asked.append(arguments)
        return USAGE

    monkeypatch.setattr(sh, "btrfs", btrfs, raising=False)
    first, second = filesystem_layout(Path("/mnt/x"))
    assert asked == [("device", "usage", "--raw", "/mnt/x")]
    assert first == {
        "device": "/dev/loop1",
        "Device size": 268435456,
        "Device slack": 0,
        "Data,RAID0/2": 67108864,
        "Metadata,RAID1": 33554432,
        "System,RAID1": 8388608,
        "Unallocated": 159383552,
    }
    assert (second["device"], second["Device slack"]) == ("/dev/loop2", 4096)


@pytest.mark.live
def test_devices_of_a_real_file_system(tmp_path: Path) -> None:
    size = 256 << 20
    with (
        Workspace.create(tmp_path / "run") as workspace,
        workspace.btrfs(BtrfsLayout(devices=2, size_bytes=size, metadata="raid1")) as fs,
    ):
        before = device_counters(fs.devices)
        fs.mount()
        found = filesystem_layout(fs.mountpoint)
        (fs.mountpoint / "file").write_bytes(bytes(1 << 20))
        fs.umount()
        after = device_counters(fs.devices)
        names = [device.name for device in fs.devices]
    assert [Path(entry["device"]).name for entry in found] == names
    for entry in found:
        used = sum(n for key, n in entry.items() if "," in key)
        assert entry["Device size"] == size == used + entry["Unallocated"]
    assert sorted(before) == sorted(names)
    written = sum(after[name]["write_sectors"] - before[name]["write_sectors"] for name in names)
    assert written >= (1 << 20) / 512
    assert all(after[name]["in_flight"] == 0 for name in names)
