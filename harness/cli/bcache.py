# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff bcache`: look into the cache device of a bcache set. Nothing is ever written to it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.bcache.check import CheckedCache
    from harness.bcache.device import File

__all__ = ["app"]

app = typer.Typer(
    help="Check, dump and map the cache device of a bcache set. Read-only; needs no bcache in this kernel.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

PAGE_ROWS = 32
"""Lines of the picture on a page."""

Target = Annotated[Path, typer.Argument(metavar="DEVICE|IMAGE", help="Cache device, or an image of one.")]


@app.command("check")
def check(
    target: Target,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show all findings of each kind.")] = False,
) -> int:
    """Verify every invariant: superblock, journal, prios and gens, uuids, btree, extents.

    Exit codes: 0 no damage, 1 damage, 2 the device changed while it was read, 3 no cache device.
    """
    from harness.bcache.device import File
    from harness.bcache.summary import finding_lines, summary_lines

    with File(target) as device:
        checked, changed = _checked(device)
    findings = checked.findings
    if as_json:
        print(json.dumps({"changed": changed, "findings": [f.to_json() for f in findings]}, indent=1))
    else:
        for line in (*summary_lines(checked), *finding_lines(findings, everything)):
            print(line)
        print(_conclusion(checked, changed))
    return _code(checked, changed)


@app.command("dump")
def dump(target: Target) -> int:
    """Print all that the device says as JSON: every journal entry, gen, node, key and finding.

    Exit codes as of `check`.
    """
    from harness.bcache.device import File
    from harness.bcache.dump import dumped

    with File(target) as device:
        checked, changed = _checked(device)
    json.dump(dumped(checked) | {"changed": changed}, sys.stdout, separators=(",", ":"))
    print()
    return _code(checked, changed)


@app.command("map")
def map_(
    target: Target,
    rows: Annotated[int, typer.Option(min=1, max=1000, help="Lines of the picture of each device.")] = 8,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the picture as a page.")] = None,
) -> int:
    """Show which parts of the backing devices are cached, and which are dirty.

    Exit codes as of `check`.
    """
    from harness.bcache.device import File
    from harness.bcache.picture import LEGEND, device_maps

    with File(target) as device:
        checked, changed = _checked(device)
    for found in device_maps(checked.live, rows):
        print(
            f"device {found.inode}: {found.extents} extents, {found.cached // 2} KiB cached, "
            f"{found.dirty // 2} KiB dirty, up to sector {found.end}; {found.sectors_each} sectors each:"
        )
        print("\n".join(f"  {line}" for line in found.lines))
    print(LEGEND if checked.live else "nothing is cached")
    if checked.findings.damage or changed:
        print(_conclusion(checked, changed))
    if html:
        _write_page(html, target, checked, changed)
    return _code(checked, changed)


def _write_page(page: Path, target: Path, checked: CheckedCache, changed: bool) -> None:
    from harness.bcache.picture import drawn
    from harness.errors import UserError
    from reports.cache_map import CacheMap
    from reports.cache_map_page import cache_map_page

    maps = [CacheMap.read(found) for found in drawn("as its cache knows it", checked.live, PAGE_ROWS)]
    try:
        page.write_text(cache_map_page(target.name, maps, _conclusion(checked, changed)))
    except OSError as error:
        raise UserError(f"{page} cannot be written: {error.strerror}") from None
    print(f"picture: {page}")


def _checked(device: File) -> tuple[CheckedCache, bool]:
    """Check a device, and tell whether it changed meanwhile."""
    from harness.bcache.check import check_cache
    from harness.bcache.device import cache_superblock
    from harness.bcache.findings import Findings
    from harness.bcache.journal import read_journal

    name = str(device.path)
    sb, complaint = cache_superblock(device, name)
    if device.registered:
        print(
            f"iodiff: warning: {name} is registered: this kernel may write to it meanwhile, and keeps keys "
            "in memory that are only in its journal; write 1 to the set's `stop`, or read a snapshot",
            file=sys.stderr,
        )
    checked = check_cache(device, sb, complaint)
    before = checked.journal.newest.seq if checked.journal else None
    after = read_journal(device, sb, Findings()) if checked.journal else None
    return checked, (after.newest.seq if after else None) != before or cache_superblock(device, name)[0] != sb


def _conclusion(checked: CheckedCache, changed: bool) -> str:
    if changed:
        return "the device changed while it was read: what was found may not be so; stop the set first"
    if damage := checked.findings.damage:
        return f"damaged: {len(damage)} findings"
    return "formatted, and never used" if checked.unused else "no damage"


def _code(checked: CheckedCache, changed: bool) -> int:
    from harness.errors import EXIT_FAIL, EXIT_OK, EXIT_UNDECIDED

    if changed:
        return EXIT_UNDECIDED
    return EXIT_FAIL if checked.findings.damage else EXIT_OK
