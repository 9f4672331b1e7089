# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff list`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

__all__ = ["list_cases"]


def list_cases(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List suites, groups and cases."""
    from rich.table import Table

    from harness.cli.progress import console
    from harness.cli.selection import GROUPS, all_cases

    cases = all_cases()
    if as_json:
        rows = [{"id": c.id, "suite": c.suite, "groups": sorted(c.groups), "title": c.title} for c in cases]
        print(json.dumps(rows, indent=1))
        return
    table = Table("case", "groups", "what it does", box=None, pad_edge=False)
    # Names are for copying: never cut or folded, whatever has to give way to them.
    table.columns[0].no_wrap, table.columns[0].min_width = True, max(len(case.id) for case in cases)
    table.columns[1].no_wrap = True
    for case in cases:
        table.add_row(case.id, " ".join(g for g in GROUPS if g in case.groups), case.title)
    to = console()
    to.print(table, crop=False)
    for name, meaning in GROUPS.items():
        to.print(f"group {name}: {meaning}")
