# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run is to do, and who is told how it goes."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cases import Case
from harness.guest.drives import Devices
from harness.kernels import Kernel
from harness.run.case_list import EMPTY, CaseList
from harness.run.trial import Trial, trials
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
    """Run folder; must not exist, or be empty, unless the run goes on with what is there."""
    work: Path
    """Work directory of this run alone."""
    seed: int
    capture: str = "bpf"
    run_id: str = field(default_factory=new_run_id)
    groups: Sequence[str] = ()
    suites: Sequence[str] = ()
    guests: GuestOptions = GuestOptions()
    rounds: int = 1
    """How often each case is run, each time with another seed."""
    until_fail: bool = False
    """On each kernel, end with the first case that neither passes nor is skipped."""
    budget_s: float | None = None
    """No case begins later than this after the run began; those that are left are skipped."""
    excluded: CaseList = EMPTY
    """Cases that are skipped."""
    expected: CaseList = EMPTY
    """Cases whose failure does not make the run fail."""
    chosen: Mapping[str, Sequence[Trial]] | None = None
    """By the kernels' labels, what to run there; None for all `cases` on each kernel."""
    resumed: bool = False
    """Whether to go on with what is in `out`."""

    def trials(self, kernel: Kernel) -> list[Trial]:
        """Return what is to be recorded on a kernel, in order."""
        if self.chosen is not None:
            return list(self.chosen[kernel.label])
        return trials(self.cases, self.seed, self.rounds)
