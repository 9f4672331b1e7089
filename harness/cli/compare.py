# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compare"]


def compare(
    sides: Annotated[
        list[str], typer.Argument(metavar="RUN[@KERNEL]...", help="Run folders; the first is the base.")
    ],
    threshold: Annotated[
        float, typer.Option(min=0, max=99, help="Worse by more than this, %, is a regression.")
    ] = 10.0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for compare.html, compare.md and compare.json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Compare runs, or the kernels of one: first what they found, then how fast they were.

    Exit code 1 when a case fails that did not fail on the first side, or when a bandwidth is lower by more
    than the threshold and chance is ruled out (95 %, over all figures together). That takes runs that were
    repeated: `run --repeat 5`.
    """
    from harness.cli.progress import console
    from harness.errors import EXIT_FAIL, EXIT_OK
    from reports.compare import compare as comparison
    from reports.compare import html, json_text, markdown, print_comparison, sides_of
    from reports.write import write

    found = comparison(sides_of(sides), threshold / 100)
    if as_json:
        print(json_text(found), end="")
    else:
        print_comparison(found, console())
    contents = {"compare.html": html, "compare.md": markdown, "compare.json": json_text}
    for name, content in contents.items() if out else ():
        assert out is not None
        write(out / name, content(found))
    if out and not as_json:
        print(f"written to {out}: {', '.join(contents)}")
    return EXIT_FAIL if found.regressed else EXIT_OK
