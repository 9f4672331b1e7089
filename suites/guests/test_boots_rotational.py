# SPDX-License-Identifier: GPL-2.0-or-later
"""Rotational drives of a real guest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.capture.program import compile_all
from harness.cases import find_case
from harness.guest.agreed import GUEST_WORK
from harness.guest.session import GuestSession
from harness.verdicts import Verdict
from loopdevs import RotationalDrive, RotationalLayout, Workspace, shrunk
from loopdevs.rotational.virtual import in_virtual_time
from suites.guests.sessions import fetched, made_session, record
from suites.meta import leftovers

pytestmark = [pytest.mark.boots, pytest.mark.timeout(900)]

CASE = find_case("extent_state/raid1")
LAYOUT = RotationalLayout(
    CASE.layout.device_bytes, shrunk(CASE.layout.device_bytes), scale=0.05 * CASE.layout.devices
)
READS = 200


@pytest.fixture(scope="module")
def disks() -> list[RotationalDrive]:
    """Return the disks of the session's guest, once there is a session."""
    return []


@pytest.fixture(scope="module")
def session(disks: list[RotationalDrive], tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuestSession]:
    def make(workspace: Workspace) -> list[RotationalDrive]:
        disks.extend(workspace.rotational_drive(LAYOUT) for _ in range(CASE.layout.devices))
        return disks

    compile_all()
    folder = tmp_path_factory.mktemp("session")
    with made_session(fetched("debian:6.12"), folder / "work", disks=make) as made:
        yield made
    assert not leftovers.held(folder)


def test_its_requests_are_served_as_in_virtual_time(
    session: GuestSession, disks: list[RotationalDrive]
) -> None:
    job = ["--name=job", "--filename=/dev/vda", "--rw=randread", "--bs=16k", f"--number_ios={READS}"]
    command = ["fio", *job, "--direct=1", "--ioengine=libaio", "--iodepth=8", "--randseed=7"]
    done = session.guest().call("run", 130, command=command, timeout_s=120)
    assert done["code"] == 0, done["output"]
    served = disks[0].served()
    assert len([request for request in served if request.nbytes == 16384]) >= READS
    assert any(request.begin_ns > request.arrival_ns for request in served), "nothing ever had to wait"
    assert [(v.tag, v.started_ns, v.ended_ns) for v in in_virtual_time(LAYOUT, served)] == [
        (s.number, s.begin_ns, s.end_ns) for s in served
    ]


def test_its_kernel_takes_them_for_rotational(session: GuestSession) -> None:
    command = ["cat", "/sys/block/vda/queue/rotational"]
    assert session.guest().call("run", 60, command=command, timeout_s=50)["output"].split() == ["1"]


def test_throttling_by_version_2_of_control_groups(session: GuestSession) -> None:
    """On the host it may be version 1 that throttles: both are held to the same tests."""
    enable = "echo +io > /sys/fs/cgroup/cgroup.subtree_control"
    environment = f"IODIFF_FORCE_LIVE=1 HYPOTHESIS_STORAGE_DIRECTORY={GUEST_WORK}/hypothesis"
    tests = f"{sys.executable} -m pytest -q --basetemp={GUEST_WORK}/tests loopdevs/test_live_throttle.py"
    command = ["sh", "-c", f"{enable} && env {environment} {tests}"]
    done = session.guest().call("run", 320, command=command, timeout_s=300)
    assert done["code"] == 0, done["output"]
    assert "4 passed" in done["output"]


def test_a_case_passes_on_them(session: GuestSession, disks: list[RotationalDrive], tmp_path: Path) -> None:
    verdict = record(session, CASE, tmp_path)
    assert verdict.verdict is Verdict.PASS, verdict
    assert Bundle.open(tmp_path / "raid1").manifest["devices"]["kind"] == "drive"
    assert all(any(request.write for request in disk.served()) for disk in disks)
