# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command line prints: whole names, 80 columns, no colour in a pipe, every command explained."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from harness.cli.selection import GROUPS, all_cases
from harness.errors import EXIT_OK
from suites.meta.commands import COMMAND, environment, iodiff
from suites.meta.simulated import CASE, write_bundle

COMMANDS = ("doctor", "list", "run", "judge", "report", "bugs", "clean", "kernels", "test")
ESCAPE = "\x1b"


def on_a_terminal(*arguments: str | Path) -> str:
    """Return what iodiff prints to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb") as reader:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=environment({"TERM": "xterm"}),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        output = b""
        try:
            while chunk := os.read(reader.fileno(), 4096):
                output += chunk
        except OSError:
            pass  # how Linux says that the other end was closed
        process.wait(60)
    return output.decode().replace("\r\n", "\n")


def test_no_name_is_cut_in_the_list() -> None:
    lines = iodiff("list").stdout.splitlines()
    first_words = [line.split(" ", 1)[0] for line in lines]
    assert [case.id for case in all_cases()] == [word for word in first_words if "/" in word]
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert {f"group {name}" for name in GROUPS} <= {line.split(":")[0] for line in lines}


def test_the_list_for_programs() -> None:
    listed = json.loads(iodiff("list", "--json").stdout)
    assert [case["id"] for case in listed] == [case.id for case in all_cases()]
    assert all(case["title"] and case["groups"] and case["suite"] for case in listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = iodiff(command, "--help")
    assert (done.returncode, done.stderr) == (EXIT_OK, "")
    assert f"Usage: iodiff {command} " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert ESCAPE not in done.stdout


def test_help_names_every_command_and_exit_code() -> None:
    told = iodiff("--help").stdout
    assert all(f"│ {command} " in told for command in COMMANDS)
    codes = ("0 all PASS or SKIP", "1 any FAIL", "2 any UNDECIDED", "3 bad usage", "130 interrupted")
    assert all(code in " ".join(told.split()) for code in codes)


def test_verdicts_are_coloured_on_a_terminal_only(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle")
    piped = iodiff("judge", tmp_path / "bundle").stdout
    assert ESCAPE not in piped
    shown = on_a_terminal("judge", tmp_path / "bundle")
    assert f"{ESCAPE}[32mPASS" in shown


def test_a_difference_keeps_to_80_columns(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", differs=True)
    lines = iodiff("judge", tmp_path / "bundle").stdout.splitlines()
    # Only continued lines may be longer or begin at the margin: there are none.
    assert lines[0].startswith(f"FAIL {CASE}")
    assert all(line.startswith("  ") and len(line) <= 80 for line in lines[1:])


@pytest.mark.parametrize("arguments", [["list"], ["judge", "bundle"]])
def test_a_reader_that_leaves_changes_nothing(tmp_path: Path, arguments: list[str]) -> None:
    write_bundle(tmp_path / "bundle")
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert (process.stderr.read(), process.wait(60)) == ("", EXIT_OK)
    process.stderr.close()
