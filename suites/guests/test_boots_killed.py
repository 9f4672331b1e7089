# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest killed while bcache is at work: the next one goes on with its disks.

Minutes each, so only when asked: IODIFF_KILLS=N kills N.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.bcache.crash.judge import judge_crashes
from harness.bcache.crash.killed import PROGRESS, gather
from harness.bcache.crash.record import load_record
from harness.guest.machine import GuestLostError
from harness.guest.session import GuestSession
from harness.verdicts import Verdict
from suites.guests.sessions import fetched, made_session
from suites.meta import leftovers

KERNELS = os.environ.get("IODIFF_KILLED_KERNELS", "debian:6.12").split(",")
KILLS = int(os.environ.get("IODIFF_KILLS", "0"))
LIVES_S = 300.0

pytestmark = [
    pytest.mark.boots,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not KILLS, reason="boots: guests are killed only when asked: IODIFF_KILLS=N"),
]


@pytest.fixture(scope="module", params=KERNELS)
def session(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GuestSession]:
    kernel = fetched(request.param)
    if not shutil.which("make-bcache", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"):
        pytest.skip("boots: make-bcache not installed (bcache-tools)")
    folder = tmp_path_factory.mktemp("session")
    with made_session(kernel, folder / "work") as made:
        yield made
    assert not leftovers.held(folder)


def killed(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "harness.bcache.crash.killed", *map(str, arguments)]


def kill_at_work(session: GuestSession, folder: Path, seed: int) -> None:
    """Have the guest work, and kill it at a random moment after some of that is durable."""
    rng = random.Random(seed)
    guest = session.guest()

    def work() -> None:
        with suppress(GuestLostError):
            done = guest.call("run", LIVES_S, command=killed("work", folder, str(seed)), timeout_s=LIVES_S)
            (folder / "ended").write_text(str(done))

    worker = threading.Thread(target=work)
    worker.start()
    wanted = rng.randrange(5, 30)
    deadline = time.monotonic() + LIVES_S
    while len(_lines(folder)) < wanted and time.monotonic() < deadline and worker.is_alive():
        time.sleep(0.05)
    time.sleep(rng.random())
    session.end_guest()
    worker.join()
    assert not (folder / "ended").exists(), (folder / "ended").read_text()


def _lines(folder: Path) -> list[str]:
    file = folder / PROGRESS
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize("seed", range(1, max(KILLS, 1) + 1))
def test_nothing_that_was_durable_is_lost(session: GuestSession, seed: int) -> None:
    folder = session.plan.guest.exchange / f"killed-{seed}"
    folder.mkdir()
    kill_at_work(session, folder, seed)
    gather(folder)
    done = session.guest().call("run", 200, command=killed("recover", folder, str(seed)), timeout_s=190)
    assert done["code"] == 0, done["output"]
    checks = {check.name.removeprefix("crash: "): check for check in judge_crashes(load_record(folder))[0]}
    print({name: check.compared for name, check in checks.items()})
    assert {check.verdict for check in checks.values()} == {Verdict.PASS}, checks
    assert checks["acknowledged"].compared > 100
