# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import errno
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness import taskstats
from harness.taskstats import ExitAccounting, TaskRecord, delay_accounting_on, family_of


def record(pid: int, parent: int, comm: str = "fio") -> TaskRecord:
    return TaskRecord(pid, parent, comm, 1, 2, 3, 4, 5, 6)


class ScriptedSocket:
    """Gives what it was told to, then nothing."""

    def __init__(self, *answers: bytes | OSError) -> None:
        self.answers = list(answers)
        self.closed = False

    def recv(self, _size: int) -> bytes:
        answer = self.answers.pop(0) if self.answers else BlockingIOError()
        if isinstance(answer, OSError):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True


def listen_with(monkeypatch: pytest.MonkeyPatch, *answers: bytes | OSError) -> ScriptedSocket:
    listener = ScriptedSocket(*answers)
    monkeypatch.setattr(taskstats, "_listen", lambda: listener)
    monkeypatch.setattr(taskstats, "decode", lambda data: [record(int(data), 1)])
    return listener


def test_a_family_is_the_process_its_threads_and_its_children() -> None:
    main, thread, job = record(10, 1), record(11, 1), record(20, 10)
    others = [record(30, 2), record(31, 1, "btrfs"), record(100, 3)]
    assert family_of(10, [thread, *others, job, main]) == [thread, job, main]


def test_without_the_main_record_only_children_are_known() -> None:
    assert family_of(10, [record(11, 1), record(20, 10)]) == [record(20, 10)]


def test_records_of_several_messages_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = listen_with(monkeypatch, b"10", b"99")
    with ExitAccounting() as accounting:
        report = accounting.report("job", 10)
    assert [p["pid"] for p in report["processes"]] == [10, 99]  # both are children of 1, both named fio
    assert (report["job"], report["lost"]) == ("job", 0)
    assert listener.closed


def test_lost_messages_are_counted_and_reading_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOBUFS, "No buffer space available")
    listen_with(monkeypatch, full, b"10", OSError(errno.ENOBUFS, "again"))
    with ExitAccounting() as accounting:
        report = accounting.report("job", 10)
    assert report["lost"] == 2
    assert [p["pid"] for p in report["processes"]] == [10]


def test_other_errors_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    listen_with(monkeypatch, OSError(errno.EBADF, "bad"))
    with ExitAccounting() as accounting, pytest.raises(OSError, match="bad"):
        accounting.report("job", 10)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(PermissionError(), "root only"), (OSError(errno.EINVAL, "Invalid argument"), "refused: .*Invalid")],
)
def test_what_is_not_available_says_why(monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str) -> None:
    def refuse() -> None:
        raise error

    monkeypatch.setattr(taskstats, "_listen", refuse)
    with ExitAccounting() as accounting:
        report = accounting.report("job", 10)
    assert report.keys() == {"job", "unavailable"}
    assert re.search(reason, report["unavailable"])


@pytest.mark.parametrize(("text", "on"), [("0\n", False), ("1\n", True), (None, True)])
def test_delay_accounting_is_read_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, on: bool
) -> None:
    switch = tmp_path / "task_delayacct"
    if text is not None:
        switch.write_text(text)
    monkeypatch.setattr(taskstats, "_DELAY_SWITCH", switch)
    assert delay_accounting_on() is on
    assert (switch.read_text() if switch.exists() else None) == text


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel sends taskstats to root only")
def test_the_kernel_reports_a_process_and_its_children() -> None:
    with ExitAccounting() as accounting:
        if accounting.unavailable:
            pytest.skip(accounting.unavailable)
        with subprocess.Popen(
            ["sh", "-c", "dd if=/dev/zero of=/dev/null count=100000 2>&1; true"]
        ) as process:
            process.wait()
        report: dict[str, Any] = accounting.report("job", process.pid)
    processes = {p["comm"]: p for p in report["processes"]}
    assert processes.keys() == {"sh", "dd"}
    assert processes["sh"]["pid"] == process.pid
    assert processes["dd"]["parent"] == process.pid
    assert processes["dd"]["elapsed_us"] > 0
