# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of a run on one of its kernels: a column in the report, a folder in the run."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.bundle import MANIFEST, VERDICT_FILE, Bundle
from harness.errors import InfrastructureError
from harness.judge.verdict import judge_bundle
from harness.kernels import Kernel
from harness.record.record import RecordPlan
from harness.record.unrecorded import skipped
from harness.run.files import save_verdict
from harness.run.plan import Observer, RunPlan
from harness.run.trial import Trial
from harness.verdicts import CaseVerdict, Verdict

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
    begun: float = field(default_factory=time.monotonic)
    """When the run began."""

    def __post_init__(self) -> None:
        """Take what the plan has for this kernel; of a run that goes on, what was done before counts."""
        self.trials = self.plan.trials(self.kernel)
        self._left = [trial for trial in self.trials if not (self.plan.resumed and self._done_before(trial))]

    def run(
        self,
        record: Callable[[RecordPlan], Bundle],
        judging: Callable[[], AbstractContextManager[None]],
        judged: Callable[[CaseVerdict], bool],
    ) -> None:
        """Record and judge what is left of the trials, one after the other.

        `judging` surrounds each judgement, `judged` is told its verdict and says whether to go on. When the
        infrastructure is lost for good, the rest is given up.
        """
        begin = time.monotonic()
        try:
            for trial in self._left:
                verdict = self._run_trial(trial, record, judging)
                self.verdicts.append(verdict)
                self.changed()
                if not judged(verdict):
                    self.lost = f"{trial.case.id} failed, and its guest was to be kept"
                    break
                if self.plan.until_fail and verdict.verdict in (Verdict.FAIL, Verdict.UNDECIDED):
                    # What was to come is not missing: nobody asked for it any more.
                    self.trials = self.trials[: self.trials.index(trial) + 1]
                    break
        except InfrastructureError as error:
            self.lost = str(error)
        finally:
            with suppress(OSError):  # holds bundles, or was never made
                (self.plan.out / self.kernel.label).rmdir()
            self.wall_s = round(self.wall_s + time.monotonic() - begin, 3)
            self.changed()
            self.observer.done(self.kernel, self.lost)

    @property
    def complete(self) -> bool:
        """Whether every trial has a verdict."""
        return len(self.verdicts) == len(self.trials)

    @property
    def to_do(self) -> bool:
        """Whether anything is left to be run."""
        return bool(self._left)

    def to_json(self) -> dict[str, Any]:
        """Return the kernel's entry in the run's file."""
        cases = list(dict.fromkeys(trial.case.id for trial in self.trials))
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
            "cases": cases,
            "trials": [{**trial.to_json(), "folder": trial.folder} for trial in self.trials],
            "excluded": self.plan.excluded.on(self.kernel.label, cases),
            "expected": self.plan.expected.on(self.kernel.label, cases),
        }

    def _run_trial(
        self,
        trial: Trial,
        record: Callable[[RecordPlan], Bundle],
        judging: Callable[[], AbstractContextManager[None]],
    ) -> CaseVerdict:
        begin = time.monotonic()
        self.observer.begin(self.kernel, trial.case)
        plan = RecordPlan(
            case=trial.case,
            seed=trial.seed,
            run_id=self.plan.run_id,
            folder=self._folder(trial),
            kernel=self.kernel.name,
            config=self.kernel.config,
        )
        reasons = self._why_not(trial)
        bundle = skipped(plan, self.kernel, reasons) if reasons else record(plan)
        self.observer.judging(self.kernel, trial.case)
        with judging():
            verdict = judge_bundle(bundle)
        save_verdict(plan.folder, verdict)
        self.observer.end(self.kernel, trial.case, verdict, time.monotonic() - begin)
        return verdict

    def _why_not(self, trial: Trial) -> list[str]:
        budget = self.plan.budget_s
        if budget is not None and time.monotonic() - self.begun > budget:
            return [f"the time budget of {budget:g} s was used up before it"]
        excluded = self.plan.excluded.reason(trial.case.id, self.kernel.label)
        return [f"excluded: {excluded}"] if excluded else list(trial.case.why_not(self.kernel))

    def _folder(self, trial: Trial) -> Path:
        return self.plan.out / self.kernel.label / trial.folder

    def _done_before(self, trial: Trial) -> bool:
        """Take over the verdict of a trial that was made before; what was skipped or cut off is made anew."""
        folder = self._folder(trial)
        if (folder / VERDICT_FILE).exists():
            verdict = CaseVerdict.from_json(json.loads((folder / VERDICT_FILE).read_text()))
        elif (folder / MANIFEST).exists():
            verdict = judge_bundle(Bundle.open(folder))
            save_verdict(folder, verdict)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            return False
        if verdict.verdict is Verdict.SKIP:
            shutil.rmtree(folder)
            return False
        self.verdicts.append(verdict)
        return True
