# SPDX-License-Identifier: GPL-2.0-or-later
"""What became of a run's cases the last time, as runs in the same folder tell."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.verdicts import Verdict, worst
from reports.run import Run

__all__ = ["Previous", "with_previous"]

LOOKED_AT = 50
"""So many runs before this one."""


@dataclass(frozen=True)
class Previous:
    """A case in an earlier run."""

    verdict: Verdict
    run_id: str


def with_previous(run: Run) -> Run:
    """Return the run with what became of its cases in the newest earlier run that decided them.

    On a kernel of the same label, in a run whose folder lies beside this one's.
    """
    wanted = {(case.kernel.label, case.id) for case in run.cases}
    found: dict[tuple[str, str], Previous] = {}
    for told in _earlier(run):
        if wanted <= found.keys():
            break
        for key, previous in _verdicts(told).items():
            found.setdefault(key, previous)
    cases = tuple(replace(case, previous=found.get((case.kernel.label, case.id))) for case in run.cases)
    return replace(run, cases=cases)


def _earlier(run: Run) -> Iterator[Mapping[str, Any]]:
    """Yield the summaries of earlier runs, the newest first."""
    here = run.path.resolve()
    told = [_read(file) for file in here.parent.glob("*/summary.json") if file.parent != here]
    known = [one for one in told if one and "" < str(one.get("started")) < run.started]
    yield from sorted(known, key=lambda one: str(one["started"]), reverse=True)[:LOOKED_AT]


def _read(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _verdicts(told: Mapping[str, Any]) -> dict[tuple[str, str], Previous]:
    """Return the verdicts of a summary; what was skipped decided nothing."""
    by_case: dict[tuple[str, str], list[Verdict]] = {}
    try:
        for case in told["cases"]:
            if case["verdict"] != Verdict.SKIP:
                by_case.setdefault((case["kernel"], case["id"]), []).append(Verdict(case["verdict"]))
    except (KeyError, TypeError, ValueError):
        return {}
    return {key: Previous(worst(found), str(told.get("run_id"))) for key, found in by_case.items()}
