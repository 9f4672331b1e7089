# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks for what shows each defect of the patch of 2010: `python -m suites.direct_io.defects`.

Each defect is put into the corrected model by itself. Random cases, the same for all, are judged by the
oracle and by the checks of the machine, which know nothing of it; the first that shows something, and nothing
without the defect, is made smaller. Writes suites/data/direct_io.json and docs/bugs-2010.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from reference.direct_io.case_data import as_data, lines, of_data
from reference.direct_io.rfc_2010 import DEFECTS, Behaviour, Defect
from reference.direct_io.run import judge
from reference.direct_io.shrink import shrink
from reference.direct_io.synthetic import Case
from reference.direct_io.testing import case_of

__all__ = ["DATA", "DOCUMENT", "NEEDS", "ROOT", "Caught", "document", "hunt", "recorded"]

ROOT = Path(__file__).parents[2]
DATA = ROOT / "suites/data/direct_io.json"
DOCUMENT = ROOT / "docs/bugs-2010.md"
NEEDS = {"failed_compressed_is_inflated": ("inflate_overruns_input",)}
"""Defects without which one does no harm: otherwise inflating what was not read only fails."""
CASES = 20_000
"""After so many cases a defect counts as not caught."""


class Caught(NamedTuple):
    """A defect and the smallest case that shows it."""

    defect: Defect
    case: Case
    complaint: str


def hunt(defect: Defect, cases: Iterable[Case]) -> Caught | None:
    """Return the first case that shows the defect alone, made smaller; None if none does."""
    without = Behaviour.corrected.having(*NEEDS.get(defect.name, ()))
    behaviour = without.having(defect.name)
    for case in cases:
        if judge(case, behaviour) and not judge(case, without):
            shown = shrink(case, lambda smaller: judge(smaller, behaviour))
            if not judge(shown.case, without):
                return Caught(defect, shown.case, shown.complaint)
    return None


def recorded() -> list[Caught]:
    """Return what was found and written down."""
    data = json.loads(DATA.read_text())
    by_name = {defect.name: defect for defect in DEFECTS}
    return [Caught(by_name[row["defect"]], of_data(row["case"]), row["complaint"]) for row in data]


def document(caught: Sequence[Caught]) -> str:
    """Return the list of defects as a page."""
    rows = map(_row, caught)
    parts = [part for each in caught for part in _section(each)]
    return "\n".join([_HEAD.format(caught=len(caught), all=len(DEFECTS)), *rows, "", *parts]).rstrip() + "\n"


def _row(caught: Caught) -> str:
    defect = caught.defect
    place = f"`{defect.function}` {defect.line}"
    return f"| [{defect.name}](#{defect.name}) | {place} | {_check(caught.complaint)} |"


_HEAD = """# The defects of the direct read of January 2010

The patch "Full direct I/O and AIO read implementation" (fs/btrfs/dio.c, posted 19 January 2010, never merged)
is modelled with every defect that was found in it (docs/direct-io.md). Each defect is put into the corrected
model by itself; random cases are judged by an oracle and by checks that know nothing of it; the first case
that shows something, and nothing without the defect, is made as small as it can be. Place, what and
consequence are written by people; all else is found.

Sizes of extents are blocks of 4096 bytes, offsets and lengths bytes. `plain 2 (of 1+2+0)` is a file extent of
two blocks that begins in the second block of its extent on disk. Memory that nobody wrote to is 0xa5, blocks
of a device that nobody wrote to 0xdd, what is behind an inline item in its leaf 0xee.

Made by `python -m suites.direct_io.defects`. Lines are those of fs/btrfs/dio.c.

{caught} of {all} defects are caught.

| defect | place | found by |
|---|---|---|"""


def _section(caught: Caught) -> list[str]:
    defect = caught.defect
    return [
        f"### {defect.name}",
        "",
        f"{defect.what}: {defect.consequence}.",
        "",
        "```",
        *lines(caught.case),
        f"-> {caught.complaint}",
        "```",
        "",
    ]


def _check(complaint: str) -> str:
    """Return which check said this."""
    if complaint.startswith(("returns", "memory", "the page", "reads")):
        return "oracle"
    if "invariant" in complaint:
        return "invariant " + complaint.split("invariant ")[1][0]
    if complaint.startswith("AssertionError"):
        return "references"
    return "machine, " + complaint.split(":", maxsplit=1)[0]


def main() -> None:
    """Hunt all of them, write down what was found."""
    found = []
    for defect in DEFECTS:
        caught = hunt(defect, map(case_of, range(CASES)))
        print(f"{defect.name}: {caught.complaint if caught else 'NOT CAUGHT'}", flush=True)
        if caught is not None:
            found.append(caught)
    rows = [{"defect": c.defect.name, "complaint": c.complaint, "case": as_data(c.case)} for c in found]
    DATA.write_text(json.dumps(rows, indent=1) + "\n")
    DOCUMENT.write_text(document(found))
    sys.exit(len(found) != len(DEFECTS))


if __name__ == "__main__":
    main()
