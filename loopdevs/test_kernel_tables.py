# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading /proc: the mount table and the process table."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopdevs import (
    DeviceTimeoutError,
    LoopdevsError,
    NotOursError,
    mounts,
    process_start_time,
    processes,
    wait_for_block_device,
)
from loopdevs.deadline import Deadline
from loopdevs.mounts import mount_at, mount_holding

# The leader of a new group starts a member that outlives it, and prints the member's number.
LEADER = "import subprocess; print(subprocess.Popen(['sleep', '1000'], stdout=subprocess.DEVNULL).pid)"


@pytest.mark.parametrize("module", [mounts, processes])
def test_examples_in_docstrings(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert (result.failed, result.attempted > 0) == (0, True)


def test_the_topmost_mount_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    table = (
        b"1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / /m rw - btrfs /dev/b rw\n3 2 0:3 / /m rw - tmpfs c rw\n"
    )
    monkeypatch.setattr(mounts, "mounts", lambda: mounts.parse_mountinfo(table))
    top = mount_at(Path("/m"))
    assert top is not None
    assert top.type == "tmpfs"
    assert mount_holding(Path("/m/x/y")).type == "tmpfs"
    assert mount_holding(Path("/mx")).type == "ext4"
    assert mount_at(Path("/m/x")) is None


def test_device_that_never_comes() -> None:
    with pytest.raises(DeviceTimeoutError, match=r"/dev/loop-never was not ready within 0\.05 s"):
        wait_for_block_device(Path("/dev/loop-never"), 0.05)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that leads its own group and works in `tmp_path`."""
    child = subprocess.Popen(["sleep", "1000"], cwd=tmp_path, start_new_session=True)
    yield child
    child.kill()
    child.wait()


def test_holders_are_named(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    # The child changes its directory before it becomes sleep: wait for that.
    assert Deadline(10).wait(lambda: str(sleeper.pid) in str(list(map(str, processes.holders(tmp_path)))))
    assert processes.holders(tmp_path / "deeper") == []


def test_a_recorded_group_is_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    began = process_start_time(sleeper.pid)
    assert processes.end_group(sleeper.pid, began, tmp_path, Deadline(10))
    assert sleeper.wait() == -9
    assert not processes.end_group(sleeper.pid, began, tmp_path, Deadline(10))


def test_a_number_used_again_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    began = process_start_time(sleeper.pid)
    assert not processes.end_group(sleeper.pid, began - 1, tmp_path, Deadline(0))
    assert sleeper.poll() is None


def test_own_group_and_members_are_refused(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "1000"])
    try:
        for pid in (1, os.getpgrp(), child.pid):
            # The leader of our own group may be gone, as it is when a shell in the background was.
            leader = processes.process(pid)
            start_time = leader.start_time if leader else 0
            with pytest.raises(NotOursError, match="does not lead a group"):
                processes.end_group(pid, start_time, tmp_path, Deadline(0))
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("inside", [True, False])
def test_members_without_leader_end_only_if_they_use_the_directory(tmp_path: Path, inside: bool) -> None:
    work = tmp_path / "work"
    work.mkdir()
    leader = subprocess.Popen(
        [sys.executable, "-c", LEADER],
        cwd=work if inside else tmp_path,
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    began = process_start_time(leader.pid)
    member = int(leader.communicate()[0])
    assert processes.end_group(leader.pid, began, work, Deadline(10)) is inside
    left = processes.process(member)
    assert (left is not None and left.alive) is not inside
    if left and left.alive:
        os.kill(member, 9)


def test_a_deadline_ends_and_a_condition_ends_it() -> None:
    began = time.monotonic()
    assert not Deadline(0.02).wait(lambda: False)
    assert time.monotonic() - began >= 0.02
    assert Deadline(0).wait(lambda: True)


def test_missing_process_has_no_start_time() -> None:
    with pytest.raises(LoopdevsError, match="does not exist"):
        process_start_time(2**22 + 1)
