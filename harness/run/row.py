# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of a run on one of its kernels: a column in the report, a folder in the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any

from harness.bundle import Bundle
from harness.errors import InfrastructureError
from harness.judge.verdict import judge_bundle
from harness.kernels import Kernel
from harness.record.record import RecordPlan
from harness.record.unrecorded import skipped
from harness.run.files import save_verdict
from harness.run.plan import Observer, RunPlan
from harness.verdicts import CaseVerdict

__all__ = ["Row"]


@dataclass
class Row:
    """What came of one kernel so far."""

    kernel: Kernel
    plan: RunPlan
    observer: Observer
    changed: Callable[[], None]
    """Called after each case, to keep on disk what is known by then."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the run's file says of this kernel besides its name."""
    verdicts: list[CaseVerdict] = field(default_factory=list)
    lost: str | None = None
    """Why cases are missing."""
    wall_s: float = 0.0

    def run(
        self,
        record: Callable[[RecordPlan], Bundle],
        judging: Callable[[], AbstractContextManager[None]],
        judged: Callable[[CaseVerdict], bool],
    ) -> None:
        """Record and judge the plan's cases, one after the other.

        `judging` surrounds each judgement, `judged` is told its verdict and says whether to go on. When the
        infrastructure is lost for good, the rest of the cases is given up.
        """
        begin = time.monotonic()
        try:
            for case in self.plan.cases:
                verdict = self._run_case(
                    RecordPlan(
                        case=case,
                        seed=self.plan.seed,
                        run_id=self.plan.run_id,
                        folder=self.plan.out / self.kernel.label / case.folder,
                        kernel=self.kernel.name,
                        config=self.kernel.config,
                    ),
                    record,
                    judging,
                )
                self.verdicts.append(verdict)
                self.changed()
                if not judged(verdict):
                    self.lost = f"{case.id} failed, and its guest was to be kept"
                    break
        except InfrastructureError as error:
            self.lost = str(error)
        finally:
            with suppress(OSError):  # holds bundles, or was never made
                (self.plan.out / self.kernel.label).rmdir()
            self.wall_s = round(time.monotonic() - begin, 3)
            self.changed()
            self.observer.done(self.kernel, self.lost)

    @property
    def complete(self) -> bool:
        """Whether every case has a verdict."""
        return len(self.verdicts) == len(self.plan.cases)

    def to_json(self) -> dict[str, Any]:
        """Return the kernel's entry in the run's file."""
        return {
            "name": self.kernel.name,
            "label": self.kernel.label,
            "release": self.kernel.release,
            "version": None,
            "config_sha256": None,
            "guest": None,
            **self.facts,
            "wall_s": self.wall_s,
            "lost": self.lost,
            "cases": [case.id for case in self.plan.cases],
        }

    def _run_case(
        self,
        plan: RecordPlan,
        record: Callable[[RecordPlan], Bundle],
        judging: Callable[[], AbstractContextManager[None]],
    ) -> CaseVerdict:
        begin = time.monotonic()
        self.observer.begin(self.kernel, plan.case)
        reasons = plan.case.why_not(self.kernel)
        bundle = skipped(plan, self.kernel, reasons) if reasons else record(plan)
        self.observer.judging(self.kernel, plan.case)
        with judging():
            verdict = judge_bundle(bundle)
        save_verdict(plan.folder, verdict)
        self.observer.end(self.kernel, plan.case, verdict, time.monotonic() - begin)
        return verdict
