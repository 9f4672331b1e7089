# SPDX-License-Identifier: GPL-2.0-or-later
"""Which cases a command means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from harness.cases import Case, suite_cases
from harness.errors import UserError

__all__ = ["GROUPS", "all_cases", "part_of", "select", "without"]

SUITES = ("bcache", "direct_io", "extent_state", "readahead")

GROUPS = {
    "quick": "the default: every area once, a few minutes",
    "auto": "quick and the larger versions, for nightly runs",
    "stress": "long and contended",
    "claims": "what published claims are measured by; they take a quiet machine",
    "data": "what suites/data is recorded from: small, to be judged anywhere",
}


def all_cases() -> list[Case]:
    """Return every case of every suite."""
    return [case for suite in SUITES for case in suite_cases(suite)]


def select(names: Sequence[str], suites: Sequence[str], groups: Sequence[str]) -> list[Case]:
    """Return the named cases, or those of `suites` and `groups` (quick when nothing is asked for).

    Raises UserError for a suite, group or case that does not exist, with the nearest names.
    """
    cases = all_cases()
    _check("suite", suites, {case.suite for case in cases})
    _check("group", groups, set(GROUPS))
    if names:
        _check("case", names, {case.id for case in cases})
        return [case for case in cases if case.id in names]
    wanted = set(groups or ["quick"])
    chosen = [c for c in cases if c.groups & wanted and (not suites or c.suite in suites)]
    if not chosen:
        raise UserError("no case is in both that suite and that group: see ./iodiff list")
    return chosen


def without(cases: Sequence[Case], names: Sequence[str]) -> list[Case]:
    """Leave out cases by name, suite or group, with the wildcards of shells; UserError if none is left."""
    known = [name for case in all_cases() for name in (case.id, case.suite)] + list(GROUPS)
    for name in names:
        if not any(fnmatchcase(one, name) for one in known):
            raise UserError(f"--exclude {name}: no case, suite or group is called that: see ./iodiff list")
    left = [
        case
        for case in cases
        if not any(fnmatchcase(one, name) for name in names for one in (case.id, case.suite, *case.groups))
    ]
    if not left:
        raise UserError("every case is excluded: nothing is left to be run")
    return left


def part_of(cases: Sequence[Case], part: str) -> list[Case]:
    """Return part I of N, given as `I/N`: together the parts are all cases. UserError for anything else."""
    found = re.fullmatch(r"(\d+)/(\d+)", part)
    number, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= of:
        raise UserError(f"--shard {part}: write it as 1/3, 2/3 and 3/3")
    chosen = list(cases[number - 1 :: of])
    if not chosen:
        raise UserError(f"--shard {part}: there are only {len(cases)} cases: use fewer shards")
    return chosen


def _check(what: str, given: Sequence[str], known: set[str]) -> None:
    from difflib import get_close_matches

    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 3, 0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "see ./iodiff list"
            raise UserError(f"unknown {what} {name!r}: {hint}")
