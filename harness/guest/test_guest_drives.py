# SPDX-License-Identifier: GPL-2.0-or-later
"""How many drives a run's guests get, and what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cases import Case
from harness.guest.drives import drive_options, drives_for, serials
from loopdevs import BtrfsLayout
from loopdevs.drives import SERIAL

GIB = 1 << 30


def case(devices: int, size_bytes: int) -> Case:
    layout = BtrfsLayout(devices=devices, size_bytes=size_bytes)
    return Case("test/any", "any", frozenset(), layout, lambda _experiment: None)


@pytest.mark.parametrize(
    ("cases", "sizes"),
    [
        ([case(1, 8 * GIB)], (8 * GIB,)),
        ([case(1, 128 * GIB), case(3, 8 * GIB), case(2, 16 * GIB)], (128 * GIB, 16 * GIB, 8 * GIB)),
    ],
)
def test_drives_suffice_for_each_case_and_are_no_larger(cases: list[Case], sizes: tuple[int, ...]) -> None:
    assert drives_for(cases) == sizes


def test_their_serials_are_ours_and_short_enough_for_virtio() -> None:
    made = serials([GIB] * 12)
    assert len(set(made)) == 12
    assert all(SERIAL.fullmatch(serial) and len(serial) <= 20 for serial in made)


def test_disks_on_sockets_follow_the_files() -> None:
    options = drive_options([GIB], [Path("/a,b/socket")])
    assert serials([GIB, "socket"]) == ["iodiff-00", "iodiff-01"]
    assert options[1].startswith("if=none,id=iodiff-00,file=iodiff-00,")
    assert options[5].startswith("if=none,id=iodiff-01,file.driver=nbd,file.server.type=unix,")
    assert "file.server.path=/a,,b/socket," in options[5]
    assert "serial=iodiff-01" in options[7].split(",")


def test_no_error_of_the_host_reaches_the_guest() -> None:
    options = drive_options([GIB])
    assert "discard=unmap" in options[1].split(",")
    assert {"werror=stop", "rerror=stop"} <= set(options[3].split(","))
