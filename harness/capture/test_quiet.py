# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from harness.capture.quiet import may_be_busy
from loopdevs.deadline import Deadline


def task(proc: Path, number: int, name: str, state: str) -> None:
    (proc / str(number)).mkdir()
    (proc / str(number) / "stat").write_text(f"{number} ({name}) {state} 2 0 0 0 -1 69238880 0\n")


@pytest.mark.parametrize("state", ["R", "D"])
def test_who_runs_or_waits_for_memory_may_be_in_an_operation(tmp_path: Path, state: str) -> None:
    task(tmp_path, 7, "kworker/u4:9", "I")
    task(tmp_path, 8, "fio) S (", state)
    assert may_be_busy([7, 8], tmp_path)
    assert not may_be_busy([7], tmp_path)


@pytest.mark.parametrize("state", ["S", "I", "Z", "X", "T"])
def test_who_sleeps_or_is_dead_is_not(tmp_path: Path, state: str) -> None:
    task(tmp_path, 8, "fio", state)
    assert not may_be_busy([8], tmp_path)


def test_who_is_gone_is_not(tmp_path: Path) -> None:
    assert not may_be_busy([8], tmp_path)


def test_an_interrupt_of_an_idle_cpu_cannot_be_seen(tmp_path: Path) -> None:
    assert may_be_busy([0], tmp_path)


def test_the_caller_itself_is_not_asked() -> None:
    assert not may_be_busy([threading.get_native_id()])


def test_real_tasks() -> None:
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as spinning:
        try:
            assert may_be_busy([spinning.pid])
        finally:
            spinning.kill()
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        try:
            assert Deadline(10.0).wait(lambda: not may_be_busy([sleeping.pid]))
        finally:
            sleeping.kill()
