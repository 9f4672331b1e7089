# SPDX-License-Identifier: GPL-2.0-or-later
"""Real guests: a case recorded and judged, a crash, a hang, an interruption, a guest that never boots."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.capture.program import compile_all
from harness.cases import find_case
from harness.doctor import guest as probe
from harness.guest.session import CONSOLE_FILE, GuestSession
from harness.kernels import Kernel
from harness.verdicts import Verdict
from suites.guests.sessions import fetched, made_session, record
from suites.meta import leftovers
from suites.meta.commands import COMMAND, environment
from suites.meta.tree import ROOT
from suites.misbehaving import CRASH, HANG

pytestmark = [pytest.mark.boots, pytest.mark.timeout(900)]

KERNEL = "debian:6.12"
CASE = "extent_state/direct-over-dirty"
NEXT_CASE = "extent_state/punch-hole"
DIRECT_READS = ("direct_io/small-raid10", "direct_io/small-damaged-raid1c3")


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    """Return the kernel to boot, fetched if need be."""
    return fetched(KERNEL)


@pytest.fixture(scope="module")
def session(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuestSession]:
    """Return a session whose guest is shared by the tests; one that breaks it gets the next a new one."""
    compile_all()
    folder = tmp_path_factory.mktemp("session")
    with made_session(kernel, folder / "work") as made:
        yield made
    assert not leftovers.held(folder)


def test_a_kernel_says_the_word_that_kvm_is_asked_for(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kernel.image is not None
    monkeypatch.setattr(probe, "BOOT_DEADLINE_S", 200)
    assert probe.KERNEL_WORD in probe.boot("qemu-system-x86_64", "tcg", probe.kernel_options(kernel.image))


def test_a_case_passes_in_a_guest(session: GuestSession, tmp_path: Path) -> None:
    verdict = record(session, find_case(CASE), tmp_path)
    assert verdict.verdict is Verdict.PASS, verdict
    assert verdict.lost == 0
    assert {"operations", "states", "locks", "checkpoints"} <= {c.name for c in verdict.checks if c.compared}
    bundle = tmp_path / CASE.split("/")[1]
    assert (bundle / CONSOLE_FILE).exists()
    manifest = json.loads((bundle / "bundle.json").read_text())
    assert manifest["kernel"]["source"] == KERNEL
    assert (manifest["devices"]["kind"], manifest["devices"]["backing"]) == ("loop", "tmpfs")


@pytest.mark.parametrize("name", DIRECT_READS)
def test_direct_reads_pass_in_a_guest(session: GuestSession, tmp_path: Path, name: str) -> None:
    verdict = record(session, find_case(name), tmp_path)
    assert verdict.verdict is Verdict.PASS, verdict
    assert verdict.lost == 0
    assert {"return values", "memory", "direct calls", "bios", "cached pages"} <= {
        check.name for check in verdict.checks if check.compared
    }


SORTS = """
import numpy as np
numbers = np.random.default_rng(1).integers(0, 1 << 21, 100_000)
for kind in (np.uint32, np.uint64, np.int64, np.float64):
    some = numbers.astype(kind)
    assert some[np.argsort(some)].tolist() == sorted(some.tolist()), kind
print("sorted")
"""


def test_numpy_sorts_in_it(session: GuestSession) -> None:
    """QEMU 7.2 emulates AVX2 wrongly (`EMULATED_CPU`): a layout was refused, and some processes died."""
    done = session.guest().call("run", 120, command=[sys.executable, "-c", SORTS], timeout_s=110)
    assert done["output"] == "sorted\n"


def test_a_crash_fails_the_case_and_the_next_one_has_a_new_guest(
    session: GuestSession, tmp_path: Path
) -> None:
    verdict = record(session, CRASH, tmp_path)
    assert verdict.verdict is Verdict.FAIL
    log = next(check for check in verdict.checks if check.name == "kernel log")
    assert log.first_difference is not None
    assert any("Kernel panic" in line for line in log.first_difference.kernel)
    assert "lost guest" in verdict.reasons[0]
    assert "crash" in (tmp_path / "crash" / CONSOLE_FILE).read_text()
    done = session.guest().call("run", 60, command=["uname", "-r"], timeout_s=50)
    assert done["output"].strip() == session.plan.guest.kernel.release


def test_a_hang_leaves_the_case_undecided(session: GuestSession, tmp_path: Path) -> None:
    verdict = record(session, HANG, tmp_path)
    assert verdict.verdict is not Verdict.PASS
    assert "lost guest" in verdict.reasons[0]
    assert "no word from the guest" in verdict.reasons[0]


def test_one_that_does_not_boot_in_time_is_given_up(kernel: Kernel, tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    options: list[str | Path] = [
        "--kernel",
        kernel.name,
        "--boot-deadline",
        "1",
        "--out",
        out,
        "--work",
        work,
    ]
    done = subprocess.run(
        [*COMMAND, "run", *options, CASE],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done
    reason = f"lost guest {kernel.name}: no word from the guest within 1 s, during boot"
    assert reason in " ".join(done.stdout.split())
    assert reason in json.loads((out / "run.json").read_text())["kernels"][0]["lost"]
    assert (out / kernel.label / CONSOLE_FILE).exists()
    assert json.loads((out / "summary.json").read_text())["cases"][0]["verdict"] == "UNDECIDED"
    assert not work.exists()
    assert not leftovers.held(tmp_path)


def test_ctrl_c_ends_the_guest_and_marks_the_run(kernel: Kernel, tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    options: list[str | Path] = ["--kernel", kernel.name, "--seed", "1", "--out", out, "--work", work]
    # Signals that the test's own parent has it ignore would be ignored by the run too.
    command = ["env", "--default-signal=INT", *COMMAND, "run", *options, CASE, NEXT_CASE]
    process = subprocess.Popen(
        command, env=environment(), cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    deadline = time.monotonic() + 600
    while not (out / "run.json").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, errors
    assert not work.exists()
    assert not leftovers.held(tmp_path)
    assert json.loads((out / "run.json").read_text())["interrupted"]
    summary = json.loads((out / "summary.json").read_text())
    assert {case["id"]: case["verdict"] for case in summary["cases"]}[NEXT_CASE] == "UNDECIDED"
