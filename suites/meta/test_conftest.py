# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the root conftest, in small test runs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from suites.meta.tree import ROOT

# What the machine is like, and what the kernel holds before and after each test, is told by this plugin.
MACHINE = """
import os
import loopdevs, loopdevs.leftovers
loopdevs.live_skip_reasons = lambda: os.environ["REASONS"].split(",") if os.environ["REASONS"] else []
loopdevs.guest_skip_reasons = lambda: ["no bcache"]
from suites.meta import leftovers
before_and_after = iter([{"loop device old"}, {"loop device old", *os.environ["LEFT"].split()}])
leftovers.held = lambda below: next(before_and_after)
"""
LIVE = "import pytest\n@pytest.mark.live\ndef test_it():\n    pass\n"
GUEST = LIVE.replace("live", "guest")
ORDINARY = "def test_it():\n    pass\n"


def run(
    folder: Path, test: str, *arguments: str, reasons: str = "", left: str = "", force: str = ""
) -> subprocess.CompletedProcess[str]:
    (folder / "machine.py").write_text(MACHINE)
    (folder / "test_inner.py").write_text(test)
    for name in ("conftest.py", "pyproject.toml"):
        (folder / name).write_text((ROOT / name).read_text())
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}:{ROOT}",
        "REASONS": reasons,
        "LEFT": left,
        "IODIFF_FORCE_LIVE": force,
    }
    command = [sys.executable, "-m", "pytest", "-p", "machine", "test_inner.py", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_live_tests_run_where_they_can(tmp_path: Path) -> None:
    done = run(tmp_path, LIVE)
    assert done.returncode == pytest.ExitCode.OK
    assert "1 passed" in done.stdout


def test_skips_give_every_reason(tmp_path: Path) -> None:
    done = run(tmp_path, LIVE + ORDINARY.replace("it", "other"), reasons="not root,no loop devices")
    assert done.returncode == pytest.ExitCode.OK
    assert "live: not root; no loop devices" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


def test_forced_live_tests_fail_instead(tmp_path: Path) -> None:
    done = run(tmp_path, LIVE, reasons="not root", force="1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "this machine cannot run live tests: not root" in done.stdout


def test_guest_tests_have_reasons_and_a_force_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(tmp_path, GUEST + LIVE.replace("it", "other"), force="1")
    assert "guest: no bcache" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    monkeypatch.setenv("IODIFF_FORCE_GUEST", "1")
    done = run(tmp_path, GUEST)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "this machine cannot run guest tests: no bcache" in done.stdout


def test_skipping_everything_is_a_failure(tmp_path: Path) -> None:
    done = run(tmp_path, LIVE, reasons="not root")
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "no test was executed" in done.stdout


def test_a_skip_inside_the_test_executes_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "import pytest\ndef test_it():\n    pytest.skip('why not')\n")
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED


def test_only_collecting_is_no_failure(tmp_path: Path) -> None:
    done = run(tmp_path, ORDINARY, "--collect-only")
    assert done.returncode == pytest.ExitCode.OK
    assert "no test was executed" not in done.stdout


def test_what_a_live_test_leaves_fails_it(tmp_path: Path) -> None:
    done = run(tmp_path, LIVE, left="instance-7")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "left behind: instance-7" in done.stdout


def test_ordinary_tests_are_not_asked(tmp_path: Path) -> None:
    done = run(tmp_path, ORDINARY, left="instance-7")
    assert done.returncode == pytest.ExitCode.OK
