# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue of `iodiff bugs --json` for people: as a page, and as docs/bugs-2007.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from reports.html import TEMPLATES, environment
from reports.markup import code, text

__all__ = ["bugs_html", "bugs_markdown", "conclusion", "fixed", "place", "primary"]

Values = Mapping[str, Any]

BROUGHT_IN = "brought in by it"
HALVES = {"trees": "The trees", "pages": "The pages and ext2"}
ABOUT = (
    "The two versions of the extent-mapped page cache that were posted in July 2007 are modelled with every "
    "defect that was found in them. Each defect is put into the corrected code by itself. The checks, which "
    "know nothing of it, look for it, and what shows it is made as small as it can be. It counts if the same "
    "shows nothing without the defect. Place, what and consequence are written by people; all else is found."
)
READING = (
    "Offsets and lengths are bytes; ranges include their ends. A list of calls begins with empty trees, one "
    "of operations with an empty file, which at the end is written back, forgotten and read again. Where "
    "tasks take turns, each line is one of them, or an interrupt, going on: the first and the last function "
    "that it calls before another goes on. Memory that nobody wrote to is 0xa5, blocks of the disk 0xdd."
)


def place(defect: Values) -> str:
    """Return the function and its lines in both versions.

    >>> place({"function": "merge_state", "lines": {"radix": 247, "rbtree": None}})
    'merge_state 247/-'
    """
    return f"{defect['function']} {'/'.join(str(line or '-') for line in defect['lines'].values())}"


def fixed(defect: Values) -> str:
    """Return whether the second version fixed it: yes, no, or `brought in by it`."""
    return {True: "yes", False: "no", None: BROUGHT_IN}[defect["fixed_by_second"]]


def primary(defect: Values) -> tuple[str, Values] | None:
    """Return the version and the catch that are shown; None if the defect is caught nowhere."""
    return next(((version, catch) for version, catch in defect["catches"].items() if catch), None)


def conclusion(found: Values) -> list[str]:
    """Return how many are caught, by which checks, and whether the corrected versions are clean."""
    defects = found["defects"]
    missed = [defect["name"] for defect in defects if not defect["caught"]]
    checks = Counter(catch["check"].split(",")[0] for catch in map(_shown, defects) if catch)
    fixes = Counter(fixed(defect) for defect in defects)
    by = ", ".join(f"{number} by {check}" for check, number in checks.most_common())
    lines = [
        f"{len(defects) - len(missed)} of {len(defects)} defects are caught: {by or 'none'}.",
        f"The second version fixed {fixes['yes']}, kept {fixes['no']}, and brought in {fixes[BROUGHT_IN]}.",
    ]
    if missed:
        lines.append(f"Found by no check in a version that has it: {', '.join(missed)}.")
    clean = [version["version"] for version in found["corrected"] if not version["found"]]
    wrong = [version["version"] for version in found["corrected"] if version["found"]]
    if clean:
        lines.append(f"The same hunts find nothing in the corrected version: {' and '.join(clean)}.")
    if wrong:
        lines.append(f"They find something in the corrected version: {' and '.join(wrong)}.")
    return lines


def _shown(defect: Values) -> Values | None:
    shown = primary(defect)
    return shown[1] if shown else None


def bugs_html(found: Values) -> str:
    """Return the page: self-contained, without any script."""
    halves = [(title, [d for d in found["defects"] if d["half"] == half]) for half, title in HALVES.items()]
    well = all(d["caught"] for d in found["defects"]) and not any(v["found"] for v in found["corrected"])
    return (
        environment()
        .get_template("bugs.html")
        .render(
            found=found,
            about=ABOUT,
            reading=READING,
            well=well,
            conclusion=conclusion(found),
            halves=[(title, defects) for title, defects in halves if defects],
            fixed=fixed,
            place_of=place,
            primary=primary,
            style=Markup((TEMPLATES / "page.css").read_text()),
        )
    )


def bugs_markdown(found: Values) -> str:
    """Return docs/bugs-2007.md."""
    versions = " and ".join(f"{name} ({date})" for name, date in found["versions"].items())
    lines = [
        *("# The defects of the patches of July 2007", ""),
        *(ABOUT, "", READING, ""),
        f"Made by `iodiff bugs --seed {found['seed']} --markdown docs/bugs-2007.md`.",
        f"`iodiff bugs NAME` shows one with every step. Versions: {versions}.",
        "Lines are of the first and of the second version's fs/extent_map.c, for ext2's functions",
        "of fs/ext2/inode.c.",
        "",
        *conclusion(found),
        "",
    ]
    for half, title in HALVES.items():
        defects = [defect for defect in found["defects"] if defect["half"] == half]
        lines += [f"## {title}", "", *_table(defects), ""]
        for defect in defects:
            lines += _section(defect)
    return "\n".join(lines).rstrip() + "\n"


def _table(defects: list[Values]) -> list[str]:
    head = ["| defect | place | found by | fixed by the second version |", "|---|---|---|---|"]
    return [*head, *(f"| {' | '.join(_cells(defect))} |" for defect in defects)]


def _cells(defect: Values) -> list[str]:
    name = defect["name"]
    return [f"[{name}](#{name})", code(place(defect)), _finder(defect), fixed(defect)]


def _finder(defect: Values) -> str:
    shown = _shown(defect)
    if shown is None:
        return "**no check**"
    missed = [version for version, catch in defect["catches"].items() if catch is None]
    note = f"; **no check** in {' and '.join(missed)}" if missed else ""
    return text(f"{shown['check']}, by {shown['way']}") + note


def _section(defect: Values) -> list[str]:
    lines = [f"### {defect['name']}", "", f"{text(defect['what'])}: {text(defect['consequence'])}.", ""]
    if (shown := _shown(defect)) is None:
        return [*lines, "No check finds it.", ""]
    # What is found may hold anything, but no fence: a line of it never begins with one.
    return [*lines, "```", *shown["reproducer"], f"-> {shown['finding']}", "```", ""]
