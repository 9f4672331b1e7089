# SPDX-License-Identifier: GPL-2.0-or-later
"""A run that is killed leaves nothing that `clean` does not undo; one that is asked to stop cleans up itself.

The moments are random and seeded. What is asserted holds at any moment, also after the end of a run.
"""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from harness.errors import EXIT_OK, UserError
from harness.verdicts import Verdict
from loopdevs.leftovers import kernel_leftovers
from reports import load_run
from suites.meta.commands import COMMAND, environment, iodiff

pytestmark = pytest.mark.live

MOMENTS = 20
INTERRUPTIONS = 3
CASE = "extent_state/mmap"
"""Short, with fio, checkpoints and verification."""
NEXT_CASE = "extent_state/fsx-large"  # takes longer than any test waits
"""Declared, so run, after CASE."""

# Signals that the test's own parent has it ignore would be ignored by the run too.
START = ("env", "--default-signal=INT,TERM,HUP", *COMMAND)
MARK = "IODIFF_TEST_MARK"
PROGRAM_NAMES = {"on_set", "on_clear", "on_convert", "on_alloc", "on_free"}


class Run:
    """A run in a process of its own, whose descendants are known by a variable in their environment."""

    def __init__(self, folder: Path, *cases: str) -> None:
        self.work, self.out = folder / "work", folder / "out"
        self.mark = secrets.token_hex(8)
        options = ["--seed", "5", "--work", str(self.work), "--out", str(self.out)]
        self.process = subprocess.Popen(
            [*START, "run", *options, *cases],
            env=environment({MARK: self.mark}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its code and what it complained about."""
        _, errors = self.process.communicate(timeout=120)
        return self.process.returncode, errors

    def descendants(self) -> list[int]:
        """Return the processes that it started and that are alive."""
        wanted = f"{MARK}={self.mark}".encode()
        return [pid for pid in _pids() if wanted in _read(Path(f"/proc/{pid}/environ")).split(b"\0")]


@pytest.fixture(scope="module")
def length(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Return how long a whole run takes, s."""
    begin = time.monotonic()
    assert Run(tmp_path_factory.mktemp("whole"), CASE).end() == (EXIT_OK, "")
    return time.monotonic() - begin


@pytest.mark.parametrize("part", range(MOMENTS))
def test_killed_at_a_random_moment(tmp_path: Path, length: float, part: int) -> None:
    run = Run(tmp_path, CASE)
    time.sleep(random.Random(part).uniform(length * part, length * (part + 1)) / MOMENTS)
    run.process.kill()
    run.end()
    done = iodiff("clean", "--work", run.work)
    assert (done.returncode, done.stderr) == (EXIT_OK, ""), done.stdout
    assert not run.work.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) in ([], ["out"])
    assert kernel_leftovers(tmp_path) == []
    assert _soon(lambda: not run.descendants())
    assert _soon(lambda: not _orphaned_programs())
    assert _no_false_pass(run.out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("part", range(INTERRUPTIONS))
def test_asked_to_stop_in_a_case(tmp_path: Path, number: signal.Signals, part: int) -> None:
    run = Run(tmp_path, CASE, NEXT_CASE)
    assert _soon((run.out / "run.json").exists)
    time.sleep(random.Random(part).uniform(0, 0.5))
    # A terminal sends its Ctrl-C to all processes of the group, tools included.
    os.killpg(run.process.pid, number)
    code, errors = run.end()
    assert code == 128 + number, errors
    assert (
        errors == f"iodiff: interrupted by {number.name}: what was made is gone, what was finished is kept\n"
    )
    assert not run.work.exists()
    assert kernel_leftovers(tmp_path) == []
    assert run.descendants() == []
    assert json.loads((run.out / "run.json").read_text())["interrupted"]
    cases = {case["id"]: case["verdict"] for case in _summary(run.out)["cases"]}
    assert cases == {CASE: Verdict.PASS, NEXT_CASE: Verdict.UNDECIDED}


@pytest.mark.parametrize("part", range(INTERRUPTIONS))
def test_asked_to_stop_while_devices_are_made(tmp_path: Path, part: int) -> None:
    run = Run(tmp_path, CASE)
    assert _soon(run.work.exists)
    time.sleep(random.Random(part).uniform(0, 0.2))
    os.killpg(run.process.pid, signal.SIGINT)
    os.killpg(run.process.pid, signal.SIGINT)  # the impatient press it twice
    assert run.end()[0] == 128 + signal.SIGINT
    assert list(tmp_path.iterdir()) == []
    assert kernel_leftovers(tmp_path) == []


def _no_false_pass(out: Path) -> bool:
    """Whether what a killed run left is no PASS, unless it had come to its end."""
    try:
        run = load_run(out)
    except UserError:
        return True
    return run.verdict is not Verdict.PASS or (out / "run.json").exists()


def _summary(out: Path) -> dict[str, list[dict[str, str]]]:
    summary: dict[str, list[dict[str, str]]] = json.loads((out / "summary.json").read_text())
    return summary


def _orphaned_programs() -> set[int]:
    """Return the BPF programs with our names that no process holds; unknown without bpftool."""
    if not shutil.which("bpftool"):
        return set()
    listed = subprocess.run(["bpftool", "--json", "prog", "show"], capture_output=True, check=True)
    ours = {program["id"] for program in json.loads(listed.stdout) if program.get("name") in PROGRAM_NAMES}
    held = {
        int(number)
        for pid in _pids()
        for info in _list(Path(f"/proc/{pid}/fdinfo"))
        for number in re.findall(rb"^prog_id:\s*(\d+)", _read(info), re.MULTILINE)
    }
    return ours - held


def _soon(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _read(path: Path) -> bytes:
    # Processes end while we look.
    with suppress(OSError):
        return path.read_bytes()
    return b""


def _list(folder: Path) -> list[Path]:
    with suppress(OSError):
        return list(folder.iterdir())
    return []
