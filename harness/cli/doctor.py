# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff doctor`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

__all__ = ["doctor"]


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> int:
    """Try out what this machine can do, and say what is missing, how to get it, and what it costs."""
    from harness.cli.progress import console
    from harness.cli.run import DEFAULT_WORK_ROOT
    from harness.doctor import missing_for_run, probe_all, render, to_json
    from harness.errors import EXIT_OK, EXIT_USAGE

    probes = probe_all(DEFAULT_WORK_ROOT)
    if as_json:
        print(json.dumps(to_json(probes), indent=1))
    else:
        render(probes, console())
    return EXIT_USAGE if missing_for_run(DEFAULT_WORK_ROOT) else EXIT_OK
