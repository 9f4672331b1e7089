# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff bugs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from harness.bugs import Catalogue

__all__ = ["bugs"]


def bugs(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this one, with every step of what shows it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    names: Annotated[bool, typer.Option("--list", help="Only name them; look for none.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table (docs/bugs-2007.md).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all random choices.")] = 1,
) -> int:
    """Find each defect of the extent-mapped page cache as posted in July 2007 (two versions).

    Each is put into the corrected code by itself. Checks that know nothing of it look for it, and what shows
    it is made as small as it can be. Then they look at the corrected code, where they should find nothing.

    Exit codes: 0 all were found, and nothing in the corrected code; 1 otherwise.
    """
    from harness.bugs import all_is_well, catalogue, defects_named
    from harness.cli.progress import console
    from harness.errors import EXIT_FAIL, EXIT_OK
    from reports.bugs import bugs_html, bugs_markdown
    from reports.write import write

    defects = defects_named(name)
    if names:
        print("\n".join(defect.name for defect in defects))
        return EXIT_OK
    steps = len(defects) + (0 if name else 2)
    with _Steps(steps) as progress:
        found = catalogue(seed, name, traces=bool(name or html), progress=progress)
    if html:
        write(html, bugs_html(found))
    if markdown:
        write(markdown, bugs_markdown(found))
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        _print(found, console(), whole=name is not None)
    return EXIT_OK if all_is_well(found) else EXIT_FAIL


class _Steps:
    """What is being looked for, on stderr: a line that changes on a terminal, else one line each."""

    def __init__(self, steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._to = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
        self._progress = Progress(
            *columns, TimeElapsedColumn(), console=self._to, transient=True, disable=not self._to.is_terminal
        )
        self._task = self._progress.add_task("", total=steps)
        self._begun, self._steps = 0, steps

    def __enter__(self) -> _Steps:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, what: str) -> None:
        self._progress.update(self._task, description=f"looking for {what}", completed=self._begun)
        self._begun += 1
        if not self._to.is_terminal:
            self._to.print(f"{self._begun}/{self._steps} {what}", soft_wrap=True)


def _print(found: Catalogue, to: Console, *, whole: bool) -> None:
    from rich.markup import escape

    for defect in found["defects"]:
        _print_defect(defect, to, whole=whole)
    for version in found["corrected"]:
        for catch in version["found"]:
            to.print(f"[bold red]FOUND[/] in the corrected {version['version']} version", soft_wrap=True)
            for line in (*catch["reproducer"], f"-> {catch['finding']}"):
                to.print(f"    {escape(line)}", soft_wrap=True)
    if not whole:
        _print_totals(found, to)


def _print_defect(defect: dict[str, Any], to: Console, *, whole: bool) -> None:
    from rich.markup import escape

    from reports.bugs import fixed, place, primary

    mark = "[green]CAUGHT[/]" if defect["caught"] else "[bold red]MISSED[/]"
    to.print(f"{mark} [bold]{defect['name']}[/]  {escape(place(defect))}", soft_wrap=True)
    to.print(f"  {escape(defect['what'])}: {escape(defect['consequence'])}", soft_wrap=True)
    if whole:
        to.print(f"  fixed by the second version: {fixed(defect)}")
    for structure, catch in defect["catches"].items():
        if catch is None:
            to.print(f"  [bold red]no check finds it[/] in the {structure} version")
    if (shown := primary(defect)) is None:
        return
    structure, catch = shown
    to.print(f"  {escape(catch['check'])}, by {catch['way']} ({structure} version):")
    for line in (*catch["reproducer"], f"-> {catch['finding']}"):
        to.print(f"    {escape(line)}", soft_wrap=True)
    if whole:
        to.print()
        for line in catch["trace"]:
            to.print(f"  {escape(line)}", soft_wrap=True)


def _print_totals(found: Catalogue, to: Console) -> None:
    from reports.bugs import conclusion

    to.print()
    for line in conclusion(found):
        to.print(line, soft_wrap=True)
