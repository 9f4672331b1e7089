# SPDX-License-Identifier: GPL-2.0-or-later
"""`summary.json`: the run for scripts. The format stands in docs/architecture.md."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from harness.verdicts import Check
from reports.behaviours import Behaviours, behaviours
from reports.kernels import Kernel
from reports.run import CaseResult, Run
from reports.totals import add_up

__all__ = ["summary_json"]


def summary_json(run: Run) -> str:
    """Return the content of `summary.json`. A case without files has a null `path`."""
    summary = {
        "format": 2,
        "run_id": run.run_id,
        "verdict": run.verdict,
        "interrupted": run.interrupted,
        "started": run.started,
        "wall_s": run.wall_s,
        "command": run.command,
        "kernels": [_kernel(run, kernel) for kernel in run.kernels],
        "cases": [_case(case) for case in run.cases],
        "behaviours": _behaviours(behaviours(run)),
    }
    return json.dumps(summary, indent=1) + "\n"


def _behaviours(found: Behaviours) -> list[dict[str, Any]]:
    return [
        {
            "field": row.field,
            "said": row.said,
            "differs": row.differs,
            "kernels": {
                kernel.label: asdict(side)
                for kernel, side in zip(found.kernels, row.sides, strict=True)
                if side
            },
        }
        for row in found.rows
    ]


def _kernel(run: Run, kernel: Kernel) -> dict[str, Any]:
    totals = add_up(run.on(kernel))
    return {
        "label": kernel.label,
        "name": kernel.name,
        "release": kernel.release,
        "version": kernel.version,
        "config_sha256": kernel.config_sha256,
        "guest": dict(kernel.guest) or None,
        "wall_s": kernel.wall_s,
        "lost": kernel.lost or None,
        "verdicts": totals.verdicts,
        "missing": totals.missing,
    }


def _case(case: CaseResult) -> dict[str, Any]:
    verdict = case.verdict
    return {
        "kernel": case.kernel.label,
        "id": verdict.case,
        "suite": verdict.suite,
        "verdict": verdict.verdict,
        "events": verdict.events,
        "lost": verdict.lost,
        "seed": verdict.seed,
        "path": str(case.folder.resolve()) if case.folder else None,
        "repeat": verdict.repeat,
        "judge": verdict.judge,
        "reasons": list(verdict.reasons),
        "wall_s": case.wall_s,
        "judged_s": verdict.judged_s,
        "behaviours": case.behaviours,
        "known_issues": case.known_issues,
        "previous": asdict(case.previous) if case.previous else None,
        "checks": [_check(check) for check in verdict.checks],
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "verdict": check.verdict,
        "compared": check.compared,
        "wrong": check.wrong,
        "detail": check.detail,
    }
