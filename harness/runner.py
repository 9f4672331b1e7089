# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs cases one after the other: record, judge, keep the verdict."""

from __future__ import annotations

import datetime
import json
import os
import platform
import secrets
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.bundle import VERDICT_FILE
from harness.capture import Capture
from harness.capture.extent_io import BpfCapture
from harness.capture.tracefs import TracefsCapture
from harness.cases import Case
from harness.errors import UserError
from harness.judge.verdict import judge_bundle
from harness.record.host import kernel_facts, machine_facts
from harness.record.interruption import interruptible, interruptions_held
from harness.record.record import record_case
from harness.verdicts import CaseVerdict
from loopdevs import LoopdevsError, Workspace

__all__ = ["CAPTURES", "RUN_FILE", "Observer", "RunPlan", "new_run_id", "run_cases", "save_verdict"]

CAPTURES = ("bpf", "tracefs")
RUN_FILE = "run.json"
MINIMUM_WORK_BYTES = 2 << 30


class Observer(Protocol):
    """Is told how a run goes on."""

    def begin(self, case: Case) -> None:
        """A case begins to be recorded."""

    def judging(self, case: Case) -> None:
        """The record is complete and is being judged."""

    def end(self, case: Case, verdict: CaseVerdict, wall_s: float) -> None:
        """The case has its verdict."""


def new_run_id() -> str:
    """Return a name for a run: sortable by time, unique on this machine."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True)
class RunPlan:
    """What to run, and where to put it."""

    cases: Sequence[Case]
    out: Path
    """Run folder; must not exist, or be empty."""
    work: Path
    """Work directory of this run alone."""
    seed: int
    capture: str = "bpf"
    run_id: str = field(default_factory=new_run_id)
    groups: Sequence[str] = ()
    suites: Sequence[str] = ()


def run_cases(plan: RunPlan, observer: Observer) -> list[CaseVerdict]:
    """Run the plan's cases; each leaves its bundle and verdict in `plan.out`.

    Raises UserError when the environment does not allow it, Interrupted when a signal asked for the end;
    devices are gone then, finished cases are kept.
    """
    with _run_folder(plan.out), interruptions_held():
        try:
            with Workspace.create(plan.work, minimum_bytes=MINIMUM_WORK_BYTES) as workspace:
                return _run_in(workspace, plan, observer)
        except LoopdevsError as error:
            raise UserError(str(error)) from error


def _run_in(workspace: Workspace, plan: RunPlan, observer: Observer) -> list[CaseVerdict]:
    facts = _facts(plan)
    begin = time.monotonic()
    verdicts: list[CaseVerdict] = []

    def write_facts() -> None:
        facts["wall_s"] = round(time.monotonic() - begin, 3)
        facts["interrupted"] = len(verdicts) < len(plan.cases)
        if any(plan.out.iterdir()):
            _write_json(plan.out / RUN_FILE, facts)

    try:
        for case in plan.cases:
            verdict = _run_case(case, workspace, plan, observer)
            verdicts.append(verdict)
            # After each case: what a killed run leaves must not look like a whole run.
            write_facts()
    finally:
        write_facts()
    return verdicts


def _run_case(case: Case, workspace: Workspace, plan: RunPlan, observer: Observer) -> CaseVerdict:
    def start_capture(fsid: str, scratch: Path) -> Capture:
        if plan.capture == "tracefs":
            return TracefsCapture(fsid, workspace.tracing(), scratch)
        return BpfCapture(fsid, scratch)

    begin = time.monotonic()
    observer.begin(case)
    folder = plan.out / case.id.split("/", 1)[1]
    bundle = record_case(case, plan.seed, plan.run_id, folder, workspace, start_capture)
    observer.judging(case)
    with interruptible():
        verdict = judge_bundle(bundle)
    save_verdict(folder, verdict)
    observer.end(case, verdict, time.monotonic() - begin)
    return verdict


def save_verdict(folder: Path, verdict: CaseVerdict) -> None:
    """Write the verdict beside the bundle's files, whole or not at all; UserError when that fails."""
    _write_json(folder / VERDICT_FILE, verdict.to_json())


def _write_json(file: Path, data: dict[str, Any]) -> None:
    temporary = file.with_name(file.name + ".tmp")
    try:
        temporary.write_text(json.dumps(data, indent=1) + "\n")
        temporary.rename(file)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise UserError(f"{file}: cannot be written: {error.strerror}") from None


def _facts(plan: RunPlan) -> dict[str, Any]:
    return {
        "format": 1,
        "run_id": plan.run_id,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["./iodiff", *sys.argv[1:]]),
        "kernel": kernel_facts(),
        "machine": machine_facts(),
        "host": platform.node(),
        "seed": plan.seed,
        "capture": plan.capture,
        "groups": list(plan.groups),
        "suites": list(plan.suites),
        "cases": [case.id for case in plan.cases],
    }


@contextmanager
def _run_folder(out: Path) -> Iterator[None]:
    """Make the run folder, and take it away again if nothing came into it."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: there is something already: choose another --out")
    made = [p for p in (out, *out.parents) if not p.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be made ({os.strerror(error.errno or 0)}): choose another --out"
        ) from None
    try:
        yield
    finally:
        for folder in made:
            if any(folder.iterdir()):
                break
            folder.rmdir()
