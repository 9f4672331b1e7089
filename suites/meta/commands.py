# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line as its user has it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import EXIT_USAGE
from suites.meta.tree import ROOT

__all__ = ["COMMAND", "complaint", "environment", "iodiff"]

COMMAND: Sequence[str] = (sys.executable, "-m", "harness")


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment in which iodiff starts anywhere, 80 columns wide."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "COLUMNS": "80", **(changes or {})}


def iodiff(
    *arguments: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    command: Sequence[str | Path] = COMMAND,
) -> subprocess.CompletedProcess[str]:
    """Run iodiff to its end; `env` changes its environment, `command` starts it in another way."""
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def complaint(done: subprocess.CompletedProcess[str], code: int = EXIT_USAGE) -> str:
    """Return the one line in which iodiff said why it did not do what was asked; nothing else was said."""
    assert (done.returncode, done.stdout) == (code, ""), done
    line, rest = done.stderr.split("\n", 1)
    assert line.startswith("iodiff: "), done.stderr
    assert rest == ""
    return line.removeprefix("iodiff: ")
