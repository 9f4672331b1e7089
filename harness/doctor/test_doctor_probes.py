# SPDX-License-Identifier: GPL-2.0-or-later
"""Probes: what becomes of each outcome, and how it is shown."""

from __future__ import annotations

import errno
import io
import json
import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from harness.doctor import Probe, render, to_json
from harness.doctor.probes import Attempt, DeadlineError, MissingError, deadline
from loopdevs import LoopdevsError


def raising(error: Exception) -> Callable[[], str]:
    def attempt() -> str:
        raise error

    return attempt


def test_what_is_there() -> None:
    assert Attempt("x", lambda: "1.0", "run").probe() == Probe("x", True, "1.0", "", "", "run")


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (MissingError("no x", "install x"), "no x", "install x"),
        (MissingError("no x"), "no x", ""),
        (PermissionError(errno.EPERM, "Operation not permitted"), "Operation not permitted", "become root"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x"), "/x: No such file", "become root"),
        (LoopdevsError("no loop device"), "no loop device", "become root"),
        (subprocess.TimeoutExpired("x", 5), "Command 'x' timed out after 5 seconds", "become root"),
    ],
)
def test_what_is_not(error: Exception, reason: str, remedy: str) -> None:
    probe = Attempt("x", raising(error), "run", "become root").probe()
    assert probe == Probe("x", False, "", reason, remedy, "run")


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        Attempt("x", raising(ZeroDivisionError()), "run").probe()


def test_what_hangs_is_given_up_and_cleaned_up() -> None:
    undone = []

    def hang() -> str:
        try:
            time.sleep(60)
        except OSError:
            return "taken for an error of the file system"
        finally:
            undone.append("x")
        return "woken"

    probe = Attempt("x", hang, "run", deadline_s=0.01).probe()
    assert (probe.ok, probe.reason) == (False, "no answer within 0.01 s")
    assert undone == ["x"]


def test_a_deadline_ends_with_its_block() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with deadline(60):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert signal.getsignal(signal.SIGALRM) == before
    with pytest.raises(DeadlineError), deadline(0.001):
        signal.pause()


YES = Probe("fio", True, "3.33", "", "", "run")
NO = Probe(
    "KVM [x]", False, "", "a reason that is longer than what fits on one line " * 2, "do that", "guests"
)


def test_the_table_fits_80_columns_and_tells_all() -> None:
    output = io.StringIO()
    render([YES, NO], Console(file=output, width=80))
    lines = output.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[0].split() == ["fio", "yes", "3.33"]
    text = " ".join(output.getvalue().split())
    assert "KVM [x] no a reason that" in text
    assert text.endswith("do: do that costs: guests 1 of 2 are there.")


def test_json_has_every_field() -> None:
    first = json.loads(json.dumps(to_json([YES, NO])))[0]
    assert first == {
        "name": "fio",
        "ok": True,
        "found": "3.33",
        "reason": "",
        "remedy": "",
        "costs": "run",
    }
