# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff kernels list`, `fetch` and `remove`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.kernels import Entry

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="The kernels that cases can run on.\n\n"
    "A kernel is `host`, a name of the catalogue such as `debian:6.12`, the path of a vmlinuz or of the tree "
    "in which one was built, or a linux-image .deb.",
)

Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Name or path of a kernel.")]


@app.command("list")
def list_kernels(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the catalogue, and what is in the cache."""
    from harness.cli.progress import console
    from harness.kernels import HOST, catalogue, installed, resolve

    kept = {entry.name: entry for entry in installed()}
    names = catalogue()
    rows = [_row(name, kept.get(name)) for name in [*names, *(name for name in kept if name not in names)]]
    rows[names.index(HOST)] |= {"state": "running", "release": resolve(HOST).release}
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    to = console()
    for row in rows:
        # Not a table: paths are for copying, however long, and every kernel has a line of its own.
        size = f"{row['size'] / 2**20:.0f} MiB" if row["size"] else ""
        line = f"{row['name']:12} {row['state']:11} {size:>8} {row['release'] or '':24} {row['path'] or ''}"
        to.print(line.rstrip(), markup=False, soft_wrap=True)


@app.command()
def fetch(names: Names) -> None:
    """Bring kernels into the cache, as far as they are not there."""
    from harness.kernels import fetch as fetch_one
    from harness.record.interruption import interruptible, interruptions_held

    with interruptions_held(), interruptible():
        for name in names:
            fetch_one(name, lambda line: print(line, flush=True))


@app.command()
def remove(names: Names) -> None:
    """Remove kernels from the cache; files elsewhere are never touched."""
    from harness.kernels import remove as remove_one

    for name in names:
        entry = remove_one(name, lambda line: print(line, flush=True))
        print(f"removed {entry.name}: {entry.release}, {entry.size / 2**20:.0f} MiB")


def _row(name: str, entry: Entry | None) -> dict[str, Any]:
    from harness.kernels.store import folder

    return {
        "name": name,
        "state": "fetched" if entry else "not fetched",
        "release": entry.release if entry else None,
        "size": entry.size if entry else None,
        "path": str(folder() / entry.label) if entry else None,
        "packages": entry.packages if entry else {},
        "fetched": entry.fetched if entry else None,
    }
