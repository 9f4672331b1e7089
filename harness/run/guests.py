# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of a run that are recorded in guests, several at a time."""

from __future__ import annotations

import compileall
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext

from harness.capture.choice import DIRECT_IO
from harness.capture.program import compile_all
from harness.disks import small_disk
from harness.doctor.machine import available_bytes
from harness.errors import UserError
from harness.guest.accelerator import accelerator
from harness.guest.drives import DRIVES, ROTATIONAL, drives_for
from harness.guest.machine import Guest
from harness.guest.python_image import python_image
from harness.guest.session import GuestSession, SessionPlan
from harness.guest.start import ROOT, GuestPlan
from harness.record.interruption import interruptible
from harness.run.plan import RunPlan
from harness.run.row import Row
from harness.verdicts import CaseVerdict, Verdict
from loopdevs import RotationalDrive, Workspace

__all__ = ["parallel_guests", "run_guests"]

GIB = 1 << 30
_POLL_S = 0.2
_SPARE_BYTES = GIB
"""Memory that guests leave to the host."""


class _Stopped(BaseException):
    """The run ends before this thread has finished. No Exception, which is caught here and there."""


def run_guests(rows: Sequence[Row], workspace: Workspace, plan: RunPlan) -> None:
    """Record and judge `rows`, each in guests of its kernel.

    Raises UserError, after all rows have ended, when one of them could not do what was asked.
    """
    if not rows:
        return
    _compile_for_guests(plan)
    _Lanes(rows, workspace, plan).run()


def _compile_for_guests(plan: RunPlan) -> None:
    """Compile here what each guest would compile again: it can keep nothing, and emulated it is slow."""
    if plan.capture == "bpf" or any(case.capture == DIRECT_IO for case in plan.cases):
        compile_all()
    for package in ("harness", "loopdevs", "reference", "suites"):
        compileall.compile_dir(ROOT / package, quiet=2)


def parallel_guests(plan: RunPlan) -> int:
    """Return how many guests to run at a time; UserError when the memory does not suffice for one."""
    available = available_bytes()
    room = (available - _SPARE_BYTES) // plan.guests.memory_bytes
    if room < 1:
        raise UserError(
            f"{available / GIB:.1f} GiB of memory are available, a guest takes "
            f"{plan.guests.memory_bytes / GIB:.1f}: end other programs, or give --guest-memory"
        )
    # More virtual CPUs than real ones wait for each other: two such guests take more than twice as long.
    return plan.guests.parallel or max(1, min(room, (os.cpu_count() or 1) // plan.guests.cpus))


class _Lanes:
    """Threads that take row after row from those that are left."""

    def __init__(self, rows: Sequence[Row], workspace: Workspace, plan: RunPlan) -> None:
        self._left = deque(rows)
        self._workspace = workspace
        self._plan = plan
        self._accelerator = accelerator(rows[0].kernel.image)
        self._python = python_image()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._work, name=f"guests {n}")
            for n in range(min(len(rows), parallel_guests(plan)))
        ]

    def run(self) -> None:
        for thread in self._threads:
            thread.start()
        try:
            for thread in self._threads:
                while thread.is_alive():
                    with interruptible():
                        thread.join(_POLL_S)
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()
        if self._errors:
            raise self._errors[0]

    def _work(self) -> None:
        try:
            while (row := self._next()) is not None:
                self._run(row)
        except _Stopped:
            pass
        except BaseException as error:  # raised again in the main thread
            self._errors.append(error)

    def _next(self) -> Row | None:
        with self._lock:
            return self._left.popleft() if self._left else None

    def _check(self) -> None:
        if self._stop.is_set():
            raise _Stopped

    def _run(self, row: Row) -> None:
        with self._lock:
            exchange = self._workspace.path(f"exchange-{row.kernel.label}")
            exchange.mkdir(mode=0o700)
            disks = self._disks(row)
        options = self._plan.guests
        drives = drives_for([trial.case for trial in row.trials]) if options.devices == DRIVES else ()
        guest = GuestPlan(
            row.kernel,
            self._accelerator,
            options.cpus,
            options.memory_bytes,
            exchange,
            options.keep,
            drives,
            self._python,
            tuple(disk.socket for disk in disks),
        )
        plan = SessionPlan(guest, self._plan.capture, options.boot_deadline_s)
        with GuestSession(plan, self._workspace, self._lock, self._check, disks) as session:

            def judged(verdict: CaseVerdict) -> bool:
                row.facts = {"version": session.version, "guest": session.facts()}
                # Whatever went wrong in there must not bear on the next case.
                session.failed |= verdict.verdict not in (Verdict.PASS, Verdict.SKIP)
                return not (session.failed and options.keep)

            row.observer.boot(row.kernel)
            row.run(session.record, nullcontext, judged)
            if session.failed and options.keep:
                self._keep(row, session.guest_as_it_is())

    def _disks(self, row: Row) -> list[RotationalDrive]:
        if self._plan.guests.devices != ROTATIONAL:
            return []
        sizes = drives_for([trial.case for trial in row.trials])
        return [self._workspace.rotational_drive(small_disk(size)) for size in sizes]

    def _keep(self, row: Row, guest: Guest) -> None:
        row.observer.kept(row.kernel, guest.ways_in())
        while guest.alive:
            self._check()
            time.sleep(_POLL_S)
