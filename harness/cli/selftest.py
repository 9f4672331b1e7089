# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff test`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import EXIT_FAIL, EXIT_OK

__all__ = ["selftest"]

ROOT = Path(__file__).resolve().parents[2]


def selftest(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENT", help="More arguments for pytest.")
    ] = None,
    live: Annotated[bool, typer.Option(help="Include the tests that drive the real kernel.")] = True,
) -> int:
    """Test iodiff itself: lint, types, unit and property tests, recorded bundles, and the live quick suite.

    Live tests skip, and say why, where the machine cannot run them; IODIFF_FORCE_LIVE=1 makes them fail.
    """
    python = [sys.executable, "-m"]
    steps = {
        "lint": [*python, "ruff", "check", "."],
        "format": [*python, "ruff", "format", "--check", "."],
        "types": [*python, "mypy"],
        "tests": [*python, "pytest", *([] if live else ["-m", "not live"]), *(arguments or [])],
    }
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    failed = []
    for name, command in steps.items():
        print(f"== {name}", flush=True)
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
            failed.append(name)
    print(f"== failed: {', '.join(failed)}" if failed else "== all passed", flush=True)
    return EXIT_FAIL if failed else EXIT_OK
