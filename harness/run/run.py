# SPDX-License-Identifier: GPL-2.0-or-later
"""A run: the kernel that is here first, by itself; then guests, as many at a time as the machine can take."""

from __future__ import annotations

import datetime
import json
import platform
import shlex
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.bundle import Bundle
from harness.capture.choice import capture_preparer
from harness.errors import UserError
from harness.kernels import HOST
from harness.record.host import kernel_facts, machine_facts
from harness.record.interruption import interruptible, interruptions_held
from harness.record.record import RecordPlan, record_case
from harness.run.files import RUN_FILE, run_folder, write_json
from harness.run.guests import run_guests
from harness.run.plan import Observer, RunPlan
from harness.run.row import Row
from loopdevs import LoopdevsError, Workspace

__all__ = ["run_cases"]

MINIMUM_WORK_BYTES = 2 << 30


def run_cases(plan: RunPlan, observer: Observer) -> list[Row]:
    """Run the plan's cases on its kernels; each leaves its bundle and verdict in `plan.out`.

    Returns what came of each kernel, in the plan's order.

    Raises UserError when the environment does not allow it, Interrupted when a signal asked for the end;
    devices and guests are gone then, finished cases are kept.
    """
    with run_folder(plan.out, resumed=plan.resumed), interruptions_held():
        here = plan.guests.devices != "loop" or any(k.name == HOST for k in plan.kernels)
        minimum = MINIMUM_WORK_BYTES if here else 0
        try:
            with Workspace.create(plan.work, minimum_bytes=minimum) as workspace:
                return _Run(plan, observer).on(workspace)
        except LoopdevsError as error:
            raise UserError(str(error)) from error


@dataclass
class _Run:
    plan: RunPlan
    observer: Observer
    begin: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.before: dict[str, Any] = {}
        self.rows = [Row(k, self.plan, self.observer, self.write) for k in self.plan.kernels]
        if self.plan.resumed:
            self._go_on(json.loads((self.plan.out / RUN_FILE).read_text()))

    def _go_on(self, before: dict[str, Any]) -> None:
        """Keep what the run's file says of what was done already."""
        self.before = before
        for row, told in zip(self.rows, before["kernels"], strict=True):
            row.facts = {name: told[name] for name in ("version", "config_sha256", "guest")}
            row.wall_s = told["wall_s"]

    def on(self, workspace: Workspace) -> list[Row]:
        try:
            for row in self.rows:
                if row.kernel.name == HOST and row.to_do:
                    self._on_host(row, workspace)
            guests = [row for row in self.rows if row.kernel.name != HOST and row.to_do]
            run_guests(guests, workspace, self.plan)
        finally:
            self.write()
        return self.rows

    def write(self) -> None:
        """Keep what is known by now: what a killed run leaves must not look like a whole run."""
        with self.lock:
            if any(self.plan.out.iterdir()):
                write_json(self.plan.out / RUN_FILE, self._facts())

    def _on_host(self, row: Row, workspace: Workspace) -> None:
        def record(plan: RecordPlan) -> Bundle:
            prepare = capture_preparer(plan.case.capture or self.plan.capture, workspace)
            return record_case(plan, workspace, prepare)

        row.facts = {key: value for key, value in kernel_facts().items() if key != "source"}
        row.run(record, interruptible, lambda _verdict: True)

    def _facts(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "format": 2,
            "run_id": plan.run_id,
            "started": self.before.get("started", self.started),
            "resumed": [*self.before.get("resumed", []), *([self.started] if plan.resumed else [])],
            "command": self.before.get("command") or shlex.join(["./iodiff", *sys.argv[1:]]),
            "kernels": [row.to_json() for row in self.rows],
            "machine": machine_facts(),
            "host": platform.node(),
            "seed": plan.seed,
            "capture": plan.capture,
            "guests": asdict(plan.guests),
            "until_fail": plan.until_fail,
            "groups": list(plan.groups),
            "suites": list(plan.suites),
            "cases": list(dict.fromkeys(trial.case.id for row in self.rows for trial in row.trials)),
            "wall_s": round(self.before.get("wall_s", 0.0) + time.monotonic() - self.begin, 3),
            "interrupted": not all(row.complete or row.lost for row in self.rows),
        }
