# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run is to go on with, or to do again, as an earlier run tells."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.cli.kernel_choice import chosen_kernels
from harness.errors import UserError
from harness.run import RUN_FILE, CaseList, GuestOptions, RunPlan, Trial

__all__ = ["again", "resumed", "seconds"]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """Return a time such as `90`, `10m` or `1.5h`, in s; UserError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not found or not float(found[1]):
        raise UserError(f"{text!r} is no time: write it like 90s, 10m or 1.5h")
    return float(found[1]) * _UNITS[found[2]]


def resumed(run: Path, work: Path) -> RunPlan:
    """Return the plan of a run that ended early, to be gone on with; UserError if it is no such run."""
    facts = _facts(run)
    guests = GuestOptions(**facts["guests"])
    cases = {label: list(map(Trial.from_json, told)) for label, told in _by_kernel(facts, "trials").items()}
    return RunPlan(
        cases=[],
        kernels=chosen_kernels([told["name"] for told in facts["kernels"]], work, facts["capture"], guests),
        out=run.absolute(),
        work=work,
        seed=facts["seed"],
        capture=facts["capture"],
        run_id=facts["run_id"],
        groups=facts["groups"],
        suites=facts["suites"],
        guests=guests,
        until_fail=facts["until_fail"],
        excluded=CaseList.of(_by_kernel(facts, "excluded")),
        expected=CaseList.of(_by_kernel(facts, "expected")),
        chosen=cases,
        resumed=True,
    )


def again(run: Path) -> dict[str, list[Trial]]:
    """Return the trials of a run that neither passed nor were skipped, by the names of their kernels."""
    from reports import load_run

    facts = _facts(run)
    fine = {
        (case.kernel.label, case.folder.name)
        for case in load_run(run).cases
        if case.folder and case.verdict.verdict in ("PASS", "SKIP")
    }
    found = {
        told["name"]: [
            Trial.from_json(trial) for trial in told["trials"] if (told["label"], trial["folder"]) not in fine
        ]
        for told in facts["kernels"]
    }
    return {name: trials for name, trials in found.items() if trials}


def _by_kernel(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {told["label"]: told[name] for told in facts["kernels"]}


def _facts(run: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((run / RUN_FILE).read_text())
        kernels = facts["kernels"]
    except OSError as error:
        raise UserError(f"{run}: no run is there ({RUN_FILE}: {error.strerror}): give a run folder") from None
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{run / RUN_FILE}: is no file of a run: give another run folder") from None
    if "guests" not in facts or any("trials" not in told for told in kernels):
        raise UserError(f"{run}: the run is of an older iodiff, which did not write down enough: run it anew")
    return facts
