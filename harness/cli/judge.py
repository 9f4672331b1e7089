# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff judge`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["judge"]


def judge(
    paths: Annotated[list[Path], typer.Argument(metavar="BUNDLE", help="Bundle, or folder with bundles.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,
    save: Annotated[bool, typer.Option(help="Keep the verdict beside the bundle for `report`.")] = True,
) -> int:
    """Judge recorded bundles again, by the models of this iodiff. Needs neither root nor a kernel."""
    from harness.bundle import Bundle, find_bundles
    from harness.cli.exit_codes import exit_code
    from harness.cli.progress import console
    from harness.cli.verdicts import print_verdict
    from harness.judge.verdict import judge_bundle
    from harness.run import save_verdict

    bundles = [Bundle.open(folder) for path in paths for folder in find_bundles(path)]
    verdicts = []
    for bundle in bundles:
        verdict = judge_bundle(bundle)
        verdicts.append(verdict)
        if save:
            save_verdict(bundle.path, verdict)
        if not as_json:
            print_verdict(verdict, console())
    if as_json:
        print(json.dumps([verdict.to_json() for verdict in verdicts], indent=1))
    return exit_code(verdict.verdict for verdict in verdicts)
