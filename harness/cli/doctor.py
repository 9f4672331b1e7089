# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

__all__ = ["doctor"]


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> int:
    """Try out what this machine can do, and say what is missing, how to get it, and what it costs."""
    from harness.cli.kernel_choice import way_of_a_run
    from harness.cli.progress import console
    from harness.cli.run import work_root
    from harness.doctor import probe_all, render, to_json
    from harness.errors import EXIT_OK, EXIT_USAGE

    probes = probe_all(work_root())
    way = way_of_a_run(work_root())
    if as_json:
        print(json.dumps({"probes": to_json(probes), "run": asdict(way)}, indent=1))
    else:
        render(probes, console())
        console().print(f"\n`./iodiff run` {way.how}.", soft_wrap=True)
    return EXIT_OK if way.possible else EXIT_USAGE
