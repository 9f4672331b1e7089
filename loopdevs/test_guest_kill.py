# SPDX-License-Identifier: GPL-2.0-or-later
"""SIGKILL at any moment of a run with bcache and mapped devices, then clean: nothing is left.

The moments are counted, as in test_live_kill.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from loopdevs import CleanReport, clean
from loopdevs.leftovers import kernel_leftovers
from loopdevs.mapper_control import mapped_devices
from loopdevs.test_live_kill import killed_at, whole_length

pytestmark = pytest.mark.guest

MOMENTS = 8

BODY = """
    disk = workspace.loop_device(1 << 25)
    slow = workspace.mapper([Segment(1 << 16, Delay(disk, write_ms=5))])
    layout = BcacheLayout(
        backing_bytes=1 << 25, cache_bytes=1 << 26, bucket_bytes=1 << 14, cache_mode="writeback"
    )
    bcache = workspace.bcache(layout, backing=slow.device)
    workspace.start(["dd", "if=/dev/zero", f"of={bcache.device}", "oflag=direct", "bs=64k"])
    slow.suspend()
    slow.resume()
    workspace.bcache(layout).destroy()
"""


@pytest.fixture(scope="module")
def length(tmp_path_factory: pytest.TempPathFactory) -> int:
    return whole_length(tmp_path_factory.mktemp("whole") / "run", BODY)


@pytest.mark.parametrize("part", range(MOMENTS))
def test_killed_at_a_random_moment_of_bcache(tmp_path: Path, length: int, part: int) -> None:
    moment = random.Random(part).randrange(length * part // MOMENTS, length * (part + 1) // MOMENTS) + 1
    status = killed_at(tmp_path / "run", BODY, moment)
    # Waits are counted too, and may be shorter than in the whole run: then the last moments do not come.
    assert status == -9 or (status == 0 and part > MOMENTS // 2)
    report = clean(tmp_path)
    assert report.failed == ()
    assert report.skipped == ()
    assert kernel_leftovers(tmp_path) == []
    assert mapped_devices() == {}
    assert list(tmp_path.iterdir()) == []
    assert clean(tmp_path) == CleanReport()
