# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff bench`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import UserError

if TYPE_CHECKING:
    from harness.claims import ClaimReport
    from suites.claims.claim import Claim

__all__ = ["bench"]


def bench(
    claims: Annotated[
        list[str] | None, typer.Argument(metavar="CLAIM", help="Claims by name: see `--list`.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All claims.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the claims, measure nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the pages; default results/bench. With --json: none.")
    ] = None,
    bundle: Annotated[
        list[Path] | None,
        typer.Option(help="Bundle, or folder with bundles, to take workloads from; default suites/data."),
    ] = None,
) -> None:
    """Measure published claims, and write a page for each: figures, method, and what follows by which rule.

    Needs neither root nor a kernel: workloads come from recorded bundles. All claims take some minutes.
    """
    from reports.claims import claims_json, write_claims
    from suites.claims.catalogue import CLAIMS, chosen, report_of
    from suites.claims.measure import DATA, Workbench

    named = chosen(claims or ())
    if every and named:
        raise UserError("--all and names of claims: give one of them")
    if listing:
        _list(named or CLAIMS, as_json)
        return
    if not (every or named):
        raise UserError("no claim is named: give some, or --all; `./iodiff bench --list` names them")
    workbench = Workbench(bundle or (DATA,))
    folder = out or (None if as_json else Path("results") / "bench")
    reports = []
    for claim in named or CLAIMS:
        report = report_of(claim, workbench)
        reports.append(report)
        if not as_json:
            _print(report)
    paths = write_claims(reports, folder) if folder else []
    if as_json:
        print(claims_json(reports), end="")
    else:
        print(f"{len(paths)} files in {folder}: open {paths[0]}")


def _list(claims: Sequence[Claim], as_json: bool) -> None:
    from harness.cli.progress import console

    if as_json:
        fields = (
            "id",
            "quotation",
            "author",
            "date",
            "source",
            "takes",
            "method",
            "real",
            "simulated",
            "rule",
        )
        rows = [{name: getattr(claim, name) for name in fields} for claim in claims]
        constants = [dict(claim.constants) for claim in claims]
        print(json.dumps([row | {"constants": c} for row, c in zip(rows, constants, strict=True)], indent=1))
        return
    for claim in claims:
        console().print(
            f"{claim.id}\n    “{claim.quotation}” ({claim.author}, {claim.date})",
            soft_wrap=True,
            markup=False,
        )


def _print(report: ClaimReport) -> None:
    from harness.cli.progress import console

    line = f"{report.conclusion.value:18} {report.id}: {report.why}"
    console().print(line, soft_wrap=True, markup=False)
