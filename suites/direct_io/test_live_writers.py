# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of reads during changes on the running kernel, with reads that really met a change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import fileops
from harness.direct_io.extents import extents
from harness.kernels import HOST, resolve
from harness.run import Observer, RunPlan, run_cases
from harness.verdicts import CaseVerdict, Verdict
from loopdevs import BtrfsLayout, Workspace
from suites.direct_io.writer_cases import CASES

pytestmark = pytest.mark.live

CHOSEN = [case for case in CASES if "quick" in case.groups]
REALLY = 100


@pytest.mark.timeout(300)
def test_every_read_finds_what_is_allowed(tmp_path: Path) -> None:
    run_cases(
        RunPlan(CHOSEN, [resolve(HOST)], tmp_path / "out", tmp_path / "work", seed=20261121), Observer()
    )
    verdicts = [
        CaseVerdict.from_json(json.loads(file.read_text()))
        for file in tmp_path.glob("out/host/*/verdict.json")
    ]
    assert [(v.case, v.verdict) for v in verdicts if v.verdict is not Verdict.PASS] == []
    during = [check.compared for v in verdicts for check in v.checks if check.name == "lengths"]
    assert len(during) == len(CHOSEN)
    assert min(during) >= REALLY


def test_where_extents_begin_is_told_by_the_tree(tmp_path: Path) -> None:
    """Also of those that touch each other on the device, as these do: FIEMAP would join them."""
    with Workspace.create(tmp_path / "work") as workspace:
        filesystem = workspace.btrfs(BtrfsLayout(size_bytes=512 << 20))
        filesystem.mount()
        file = filesystem.mountpoint / "file"
        for number in range(40):
            fileops.write(file, number * 8192, 8192, number)
            fileops.fsync(file)
        with file.open("rb") as opened:
            found = extents(opened.fileno(), 40 * 8192)
            assert [one.file_offset for one in found] == [n * 8192 for n in range(40)]
            assert len({one.disk_bytenr for one in found}) == 40
            assert [one.end for one in extents(opened.fileno(), 8193)] == [8192, 16384]
            assert not fileops.is_nodatacow(opened.fileno())
        fileops.set_nodatacow(filesystem.mountpoint / "in-place")
        with (filesystem.mountpoint / "in-place").open("rb") as opened:
            assert fileops.is_nodatacow(opened.fileno())
