# SPDX-License-Identifier: GPL-2.0-or-later
"""Throttled loop devices on the real kernel."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopdevs import Limits, LoopdevsError, NotOursError, Workspace, clean
from loopdevs.cgroups import groups
from loopdevs.journal import JOURNAL_FILE, CgroupEntry, parse_journal

pytestmark = pytest.mark.live

SIZE = 64 << 20
ROOT = Path(__file__).parents[1]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "run") as workspace:
        try:
            workspace.throttle([workspace.loop_device(SIZE)], Limits(read_iops=1)).destroy()
        except LoopdevsError as error:
            pytest.skip(f"live: {error}")
        yield workspace


def seconds_for(device: Path, reads: int) -> float:
    """Return how long so many reads of 4 KiB take, one after the other."""
    descriptor = os.open(device, os.O_RDONLY | os.O_DIRECT)
    begin = time.monotonic()
    with mmap.mmap(-1, 4096) as page:
        for number in range(reads):
            assert os.preadv(descriptor, [page], number * 4096) == 4096
    os.close(descriptor)
    return time.monotonic() - begin


def test_who_is_in_it_is_held_to_the_limit_and_nobody_else(workspace: Workspace) -> None:
    slow, other = workspace.loop_device(SIZE), workspace.loop_device(SIZE)
    with workspace.throttle([slow], Limits(read_iops=50)) as throttle:
        with throttle.holding_us():
            # The kernel lets a little through at once; nothing makes it faster than that.
            assert seconds_for(slow, 100) > 1.5
            assert seconds_for(other, 100) < 1.0
        assert seconds_for(slow, 100) < 1.0


def test_a_limit_of_zero_or_none_at_all_is_refused() -> None:
    with pytest.raises(LoopdevsError, match="at least one limit, each of 1 or more"):
        Limits()
    with pytest.raises(LoopdevsError, match="at least one limit, each of 1 or more"):
        Limits(read_iops=0)


def test_a_device_of_others_is_left_alone(workspace: Workspace) -> None:
    with pytest.raises(NotOursError, match="was not made by this run"):
        workspace.throttle([Path("/dev/loop0-of-somebody")], Limits(read_iops=1))


OWNER = """
import os, sys
from pathlib import Path
from loopdevs import *
workspace = Workspace.create(Path(sys.argv[1]))
device = workspace.loop_device(1 << 26)
throttle = workspace.throttle([device], Limits(read_iops=1))
reader = workspace.start(["dd", f"if={device}", "of=/dev/null", "bs=4k", "iflag=direct"])
throttle.add(reader.pid)
print("ready", flush=True)
with throttle.holding_us():
    os.kill(os.getpid(), 9)
"""


def entries_of(directory: Path) -> list[CgroupEntry]:
    entries, _ = parse_journal((directory / JOURNAL_FILE).read_text())
    return [entry for entry in entries if isinstance(entry, CgroupEntry)]


def names_of_groups() -> set[str]:
    return {group.folder.name for group in groups()}


def test_clean_removes_what_a_killed_run_left(workspace: Workspace, tmp_path: Path) -> None:
    workspace.close()
    command = [sys.executable, "-c", OWNER, str(tmp_path / "killed")]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, check=False
    )
    assert (done.returncode, done.stdout) == (-9, b"ready\n")
    (entry,) = entries_of(tmp_path / "killed")
    assert entry.name in names_of_groups()
    assert clean(tmp_path).failed == ()
    assert entry.name not in names_of_groups()
    assert list(tmp_path.iterdir()) == []
