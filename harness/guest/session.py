# SPDX-License-Identifier: GPL-2.0-or-later
"""Recording many cases on one kernel: one guest for as long as it is sound, a new one after a failure."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.bundle import Bundle, BundleWriter
from harness.errors import InfrastructureError
from harness.guest.console import kernel_lines
from harness.guest.machine import CONSOLE, PANIC_END, Guest, GuestLostError
from harness.guest.start import GuestPlan
from harness.record.host import tool_versions
from harness.record.record import RecordPlan, device_facts, device_kind
from harness.record.unrecorded import kernel_named, unrecorded
from loopdevs import RotationalDrive, Workspace
from loopdevs.deadline import Deadline

__all__ = ["GuestSession", "SessionPlan"]

CONSOLE_FILE = "console.txt"
_BOOT_S = 20.0


@dataclass(frozen=True)
class SessionPlan:
    """Which machine to record on, and what it is told of itself."""

    guest: GuestPlan
    capture: str
    boot_deadline_s: float | None = None
    setting_up_s: float = 20.0
    """What recording a case may take besides its workload on the bare machine: devices, checkpoints; s."""

    @property
    def boot_s(self) -> float:
        """How long a guest may take to boot, s."""
        return self.boot_deadline_s or _BOOT_S * self.guest.accelerator.slowness


@dataclass
class GuestSession:
    """The guests of one kernel, one after the other. Not to be shared between threads."""

    plan: SessionPlan
    workspace: Workspace
    lock: threading.Lock
    """Held while `workspace`, which other sessions share, is used."""
    check: Callable[[], None]
    """Called several times a second while waiting; may raise to give up."""
    disks: Sequence[RotationalDrive] = ()
    """Those that the guest has as drives, if the cases may have them answer at once."""
    boots: list[float] = field(default_factory=list)
    """How long each boot took, s."""
    version: str = ""
    """What the kernel says of itself (`uname -v`), once it was up."""
    failed: bool = False
    """Whether the guest is not to be used for another case."""
    _guest: Guest | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_guest()

    def record(self, plan: RecordPlan) -> Bundle:
        """Record a case in the guest and return its bundle, in `plan.folder`.

        A guest that is lost meanwhile leaves a bundle that says so, and a new one is booted for the next
        case. Raises UserError when the guest cannot do it for want of something, GuestLostError when it does
        not even boot; its console is kept beside the bundles then.
        """
        try:
            guest = self.guest()
        except GuestLostError as error:
            console = plan.folder.parent / CONSOLE_FILE
            console.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._folder / CONSOLE, console)
            raise GuestLostError(f"{error}; its console: {console}") from None
        position = guest.console.position
        started, begin = datetime.now(UTC), time.monotonic()
        try:
            bundle = self._recorded(guest, plan)
        except GuestLostError as error:
            lost = str(error)
            # The kernel's last words may still be on their way through QEMU.
            Deadline(1.0).wait(lambda: PANIC_END in guest.console.since(position))
            text = guest.console.since(position)
            self.failed = True
            return self._lost_bundle(plan, lost, text, started, time.monotonic() - begin)
        return bundle.amended({CONSOLE_FILE: guest.console.since(position)}, {"guest": self.facts()})

    def guest(self) -> Guest:
        """Return the running guest, booting one if there is none; GuestLostError when it does not come up."""
        if self.failed:
            self.end_guest()
        if self._guest is None:
            self._guest = self._boot()
        return self._guest

    def guest_as_it_is(self) -> Guest:
        """Return the guest in which the last case was, sound or not."""
        assert self._guest is not None
        return self._guest

    def end_guest(self) -> None:
        """End the running guest, if any; the next case boots another."""
        if self._guest is not None:
            self._guest.close()
            self._guest, self.failed = None, False

    def facts(self) -> dict[str, Any]:
        """Return what bundles and reports say of the machine."""
        plan = self.plan.guest
        return {
            "accelerator": str(plan.accelerator),
            "cpus": plan.cpus,
            "memory_bytes": plan.memory_bytes,
            "boot_s": self.boots[-1] if self.boots else None,
        }

    @property
    def _folder(self) -> Path:
        """Return the folder of the guest that was booted last."""
        return self.workspace.path(f"guest-{self.plan.guest.kernel.label}-{len(self.boots)}")

    def _boot(self) -> Guest:
        begin = time.monotonic()
        self.boots.append(0.0)
        with self.lock:
            self._folder.mkdir(mode=0o700)
        guest = Guest(self.plan.guest, self._folder, self._start, self.plan.boot_s, self.check)
        self.boots[-1] = round(time.monotonic() - begin, 1)
        self.version = guest.hello["version"]
        release = self.plan.guest.kernel.release
        if guest.hello["release"] != release:
            guest.close()
            raise InfrastructureError(f"the guest runs {guest.hello['release']}, not {release}")
        return guest

    def _start(self, command: list[str], folder: Path, output: Path) -> Any:
        with self.lock, output.open("wb") as console:
            # Temporary files of virtme-ng lie in the run's folder as well.
            environment = ["env", f"TMPDIR={folder}"]
            return self.workspace.start([*environment, *command], stdout=console, stderr=console, cwd=folder)

    def _recorded(self, guest: Guest, plan: RecordPlan) -> Bundle:
        slowness = self.plan.guest.accelerator.slowness
        folder = self.plan.guest.exchange / plan.folder.name
        with ExitStack() as at_once:

            def tell_disks(timed: bool) -> None:
                at_once.close()
                for disk in () if timed else self.disks:
                    at_once.enter_context(disk.at_once())

            done = guest.call(
                "record",
                (plan.case.deadline_s + self.plan.setting_up_s) * slowness,
                tell_disks,
                case=plan.case.id,
                seed=plan.seed,
                run_id=plan.run_id,
                folder=str(folder),
                capture=self.plan.capture,
                slowness=slowness,
                # A guest has the host's files, so the host's tools.
                tools=_tools(),
                drives=self.plan.guest.serials,
                rotational=bool(self.disks),
                kernel=self.plan.guest.kernel.name,
                config=str(self.plan.guest.kernel.config or ""),
            )
        bundle = Bundle.open(folder)
        if bundle.manifest["digest"] != done["digest"]:
            raise InfrastructureError(f"{folder.name}: the bundle is not the one that the guest wrote")
        plan.folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, plan.folder)
        return Bundle(plan.folder, bundle.manifest)

    def _lost_bundle(
        self, plan: RecordPlan, why: str, console: str, started: datetime, wall_s: float
    ) -> Bundle:
        kernel = self.plan.guest.kernel
        shutil.rmtree(self.plan.guest.exchange / plan.folder.name, ignore_errors=True)
        writer = BundleWriter(plan.folder)
        writer.add_text(CONSOLE_FILE, console)
        writer.add_text("dmesg.txt", "".join(line + "\n" for line in kernel_lines(console)))
        return unrecorded(
            plan,
            writer,
            {
                "kernel": kernel_named(kernel, self.version),
                "machine": {
                    "cpus": self.plan.guest.cpus,
                    "memory_bytes": self.plan.guest.memory_bytes,
                    "arch": "x86_64",
                    "virtual": True,
                },
                "tools": _tools(),
                "devices": device_facts(plan.case, device_kind(self.plan.guest.serials, self.disks)),
                "guest": self.facts(),
                "started": started.isoformat(timespec="seconds"),
                "wall_s": round(wall_s, 3),
                "error": why,
            },
        )


@cache
def _tools() -> dict[str, str]:
    return tool_versions()
