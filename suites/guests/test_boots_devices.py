# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices of real guests, on an LTS kernel and on the newest: bcache, mapped devices, virtio drives."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.capture.program import compile_all
from harness.cases import find_case
from harness.guest.agreed import GUEST_WORK
from harness.guest.drives import drives_for
from harness.guest.session import GuestSession
from harness.verdicts import Verdict
from suites.guests.sessions import fetched, made_session, record
from suites.meta import leftovers

pytestmark = [pytest.mark.boots, pytest.mark.timeout(900)]

KERNELS = ("debian:6.12", "debian:sid")
CASE = find_case("extent_state/raid1")
DEVICES = ("vda", "vdb")
PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
UDEVD = "/usr/lib/systemd/systemd-udevd"
MIB = 1 << 20


@pytest.fixture(scope="module", params=KERNELS)
def session(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GuestSession]:
    """Return a session of each kernel, whose guest, with drives, the tests share."""
    kernel = fetched(request.param)
    missing = [tool for tool in ("make-bcache", "dmsetup") if not shutil.which(tool, path=PATH)]
    if missing and os.environ.get("IODIFF_FORCE_BOOTS") != "1":
        pytest.skip(f"boots: {', '.join(missing)} not installed (bcache-tools, dmsetup)")
    compile_all()
    folder = tmp_path_factory.mktemp("session")
    with made_session(kernel, folder / "work", drives_for([CASE])) as made:
        yield made
    assert not leftovers.held(folder)


def test_bcache_mapped_devices_and_drives_work_in_it(session: GuestSession) -> None:
    """Run in the guest what only a guest's kernel can: a set from set-up to nothing left, and a refusal.

    Where the host has udev, it registers the set as on any machine, and the waits are for its events.
    """
    tests = [
        "suites/bcache/test_guest_smoke.py::test_fio_verifies_and_reading_again_hits[writeback]",
        "loopdevs/test_guest_bcache.py::test_without_its_cache_it_is_refused",
        "loopdevs/test_guest_mapper.py::test_an_error_in_the_middle",
        "loopdevs/test_guest_mapper.py::test_drives",
    ]
    command = [
        *("env", "IODIFF_FORCE_GUEST=1", f"HYPOTHESIS_STORAGE_DIRECTORY={GUEST_WORK}/hypothesis"),
        *(sys.executable, "-m", "pytest", "-q", "-m", "guest", f"--basetemp={GUEST_WORK}/tests", *tests),
    ]
    with_udev = ["sh", "-c", f'[ ! -x {UDEVD} ] || {UDEVD} --daemon; exec "$@"', "sh", *command]
    done = session.guest().call("run", 620, command=with_udev, timeout_s=600)
    assert done["code"] == 0, done["output"]
    assert f"{len(tests)} passed" in done["output"]


def test_a_case_passes_on_drives_that_give_back_their_space(session: GuestSession, tmp_path: Path) -> None:
    verdict = record(session, CASE, tmp_path)
    assert verdict.verdict is Verdict.PASS, verdict
    bundle = Bundle.open(tmp_path / "raid1")
    assert bundle.manifest["devices"]["kind"] == "drive"
    counters = bundle.json("devices.json")
    written = [
        counters["after"][d]["write_sectors"] - counters["before"][d]["write_sectors"] for d in DEVICES
    ]
    assert min(written) > 0
    assert min(taken(session)) > MIB
    for device in DEVICES:
        done = session.guest().call("run", 60, command=["blkdiscard", f"/dev/{device}"], timeout_s=50)
        assert done["code"] == 0, done["output"]
    assert max(taken(session)) < MIB


def taken(session: GuestSession) -> list[int]:
    """Return how much of the host's disk each drive takes, bytes."""
    files = [file for file in session.workspace.directory.glob("guest-*/iodiff-*") if file.is_file()]
    assert len(files) == len(DEVICES)
    return [file.stat().st_blocks * 512 for file in files]
