# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from loopdevs import BtrfsLayout, LoopdevsError
from loopdevs.layout import MINIMUM_DEVICE_BYTES, MINIMUM_DEVICES


@pytest.mark.parametrize("profile", MINIMUM_DEVICES)
def test_profile_needs_its_devices(profile: str) -> None:
    enough = MINIMUM_DEVICES[profile]
    BtrfsLayout(devices=enough, data=profile, metadata=profile)
    with pytest.raises(LoopdevsError, match=f"{profile} needs {enough} or more devices"):
        BtrfsLayout(devices=enough - 1, data=profile)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": "raid7"}, "data profile 'raid7' is unknown"),
        ({"size_bytes": MINIMUM_DEVICE_BYTES - 4096}, "bytes is not possible"),
        ({"size_bytes": MINIMUM_DEVICE_BYTES + 512}, "multiple of 4096"),
        ({"room_bytes": 512}, "room for 512 bytes is not possible"),
        ({"room_bytes": -4096}, "room for -4096 bytes is not possible"),
        ({"mkfs_options": ("-n", "4096", "/dev/sda")}, "'/dev/sda' is not for a layout"),
        ({"mkfs_options": ("--rootdir=/etc",)}, "is not for a layout"),
        ({"mkfs_options": ("-f",)}, "'-f' is not for a layout"),
        ({"mount_options": ("noatime,device=/dev/sda",)}, "'device=/dev/sda' is not for a layout"),
        ({"mount_options": ("remount",)}, "'remount' is not for a layout"),
    ],
)
def test_refused_with_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LoopdevsError, match=message) as caught:
        BtrfsLayout(**arguments)
    assert "\n" not in str(caught.value)


def test_ordinary_options_pass() -> None:
    BtrfsLayout(
        mkfs_options=("-n", "4096", "-O", "^no-holes"), mount_options=("compress=zstd", "subvol=/a/b")
    )
