# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run is to do, and who is told how it goes."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cases import Case
from harness.guest.drives import Devices
from harness.kernels import Kernel
from harness.verdicts import CaseVerdict

__all__ = ["GuestOptions", "Observer", "RunPlan", "new_run_id"]


class Observer:
    """Is told how a run goes on, by several threads when there are several guests. This one does nothing."""

    def boot(self, kernel: Kernel) -> None:
        """A guest with this kernel is being started."""

    def begin(self, kernel: Kernel, case: Case) -> None:
        """A case begins to be recorded."""

    def judging(self, kernel: Kernel, case: Case) -> None:
        """The record is complete and is being judged."""

    def end(self, kernel: Kernel, case: Case, verdict: CaseVerdict, wall_s: float) -> None:
        """The case has its verdict."""

    def kept(self, kernel: Kernel, ways_in: Sequence[str]) -> None:
        """The guest is left up; `ways_in` are lines that tell how to look into it."""

    def done(self, kernel: Kernel, lost: str | None) -> None:
        """There is no more to come from this kernel; `lost` says why, if cases are missing."""


def new_run_id() -> str:
    """Return a name for a run: sortable by time, unique on this machine."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True)
class GuestOptions:
    """What guests are given."""

    cpus: int = 2
    memory_bytes: int = 4 << 30
    parallel: int | None = None
    """How many at the same time; None for as many as cores and memory allow."""
    boot_deadline_s: float | None = None
    """How long a guest may take to boot; None for what suits the accelerator."""
    keep: bool = False
    """Leave a guest up in which a case failed."""
    devices: Devices = "loop"


@dataclass(frozen=True)
class RunPlan:
    """What to run, and where to put it."""

    cases: Sequence[Case]
    kernels: Sequence[Kernel]
    out: Path
    """Run folder; must not exist, or be empty."""
    work: Path
    """Work directory of this run alone."""
    seed: int
    capture: str = "bpf"
    run_id: str = field(default_factory=new_run_id)
    groups: Sequence[str] = ()
    suites: Sequence[str] = ()
    guests: GuestOptions = GuestOptions()
