# SPDX-License-Identifier: GPL-2.0-or-later
"""A run as the reports see it: the facts of `run.json`, its kernels, and one result a case and kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bundle import Bundle
from harness.verdicts import CaseVerdict, Verdict, worst
from reports.kernels import Kernel
from reports.text import dig, plain
from reports.timeline import Timeline

if TYPE_CHECKING:
    from reports.previous import Previous

__all__ = ["BEHAVIOUR", "KNOWN_ISSUE", "CaseResult", "Run"]

BEHAVIOUR = "behaviour"
"""What the judge counts under this name is a named behaviour of the kernel that it had to assume."""
KNOWN_ISSUE = "known issue"
"""What the judge counts under this name is a fault of the kernel that it could explain."""


@dataclass(frozen=True)
class CaseResult:
    """One case of a run, on one kernel."""

    kernel: Kernel
    verdict: CaseVerdict
    """The judgement; made up here (UNDECIDED) when a case was never recorded or never judged."""
    timeline: Timeline
    """The verdict's series, checked."""
    folder: Path | None
    """Where the case's files are; None when the run ended before it."""
    bundle: Bundle | None
    """The record; None when the case was skipped or its record is lost."""
    expected: str = ""
    """Why the case was said to fail on this kernel, before the run; empty if it was not."""
    previous: Previous | None = None
    """What became of it the last time (`reports.previous`); None where that is not known."""

    @property
    def manifest(self) -> Mapping[str, Any] | None:
        """The bundle's manifest, if there is a bundle."""
        return self.bundle.manifest if self.bundle else None

    @property
    def id(self) -> str:
        """`SUITE/NAME`."""
        return self.verdict.case

    @property
    def title(self) -> str:
        """One line on what the case does; empty when unknown."""
        return str(dig(self.manifest, "case", "title") or "")

    @property
    def missing(self) -> bool:
        """Whether the case left nothing at all, though it was to run."""
        return self.folder is None

    @property
    def release(self) -> str:
        """Release of the kernel that was recorded, else of the one that was to be."""
        return plain(dig(self.manifest, "kernel", "release")) or self.kernel.release

    @property
    def counts(self) -> dict[str, int]:
        """What the judge counted besides its checks, but for behaviours."""
        return {k: v for k, v in self.verdict.counts.items() if not k.startswith(BEHAVIOUR)}

    @property
    def behaviours(self) -> list[str]:
        """Names of the behaviours by which the kernel was judged, as far as the judge tells."""
        told = self.verdict.counts.items()
        return [k.removeprefix(BEHAVIOUR).strip(": ") or str(v) for k, v in told if k.startswith(BEHAVIOUR)]

    @property
    def known_issues(self) -> list[str]:
        """The known issues of the kernel that this case met, and those that were said beforehand."""
        met = [k for k in self.verdict.counts if k.startswith(KNOWN_ISSUE)]
        said = {
            Verdict.FAIL: f"fails, as was listed: {self.expected}",
            Verdict.PASS: f"passes, though it was listed to fail: {self.expected}",
        }
        told = said.get(self.verdict.verdict) if self.expected else None
        return [*(k.removeprefix(KNOWN_ISSUE).strip(": ") for k in met), *([told] if told else [])]

    @property
    def news(self) -> str:
        """What the verdict was before, in words; empty where it was the same, or is not known."""
        before = self.previous
        if before is None or before.verdict is self.verdict.verdict:
            return ""
        return f"{before.verdict} in run {before.run_id}"

    @property
    def counted(self) -> Verdict:
        """What the case counts for: a failure that was listed counts as if it had been skipped."""
        known = self.expected and self.verdict.verdict is Verdict.FAIL
        return Verdict.SKIP if known else self.verdict.verdict

    @property
    def wall_s(self) -> float:
        """Time the recording took, s; 0 without a record."""
        wall = dig(self.manifest, "wall_s")
        return float(wall) if isinstance(wall, int | float) else 0.0

    @property
    def compared(self) -> int:
        """Things held against the model, over all checks by it."""
        return sum(check.compared for check in self.verdict.checks if check.by_model)

    @property
    def wrong(self) -> int:
        """Things that differ from the model, over all checks."""
        return sum(check.wrong for check in self.verdict.checks)


@dataclass(frozen=True)
class Run:
    """One invocation of iodiff and what it left behind."""

    path: Path
    """The run folder, or the folder of a single case."""
    facts: Mapping[str, Any]
    """The content of `run.json`; empty for a folder without one."""
    kernels: tuple[Kernel, ...]
    """In the order given."""
    cases: tuple[CaseResult, ...]
    """Kernel by kernel, in the order in which they were to run."""

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict of the cases; an interrupted run or a lost guest is no PASS."""
        verdicts = [case.counted for case in self.cases]
        cut_short = self.interrupted or any(kernel.lost for kernel in self.kernels)
        return worst([*verdicts, Verdict.UNDECIDED] if cut_short else verdicts)

    def on(self, kernel: Kernel) -> list[CaseResult]:
        """Return the cases of one of its kernels."""
        return [case for case in self.cases if case.kernel.label == kernel.label]

    @property
    def several(self) -> bool:
        """Whether there is more than one kernel."""
        return len(self.kernels) > 1

    @property
    def noun(self) -> str:
        """What a case on one of the kernels is to be called."""
        return "result" if self.several else "case"

    def name(self, case: CaseResult) -> str:
        """Such as `SUITE/NAME`, and the kernel when there are several."""
        return f"{case.id} on {case.kernel.label}" if self.several else case.id

    @property
    def interrupted(self) -> bool:
        """Whether the run ended before its last case."""
        return bool(self.facts.get("interrupted"))

    @property
    def run_id(self) -> str:
        """Name of the run."""
        return str(self.facts.get("run_id") or self._first("run_id") or self.path.resolve().name)

    @property
    def started(self) -> str:
        """When the run started, ISO 8601 UTC; empty when unknown."""
        return str(self.facts.get("started") or self._first("started") or "")

    @property
    def command(self) -> str:
        """The command line; empty when unknown."""
        return str(self.facts.get("command") or "")

    @property
    def wall_s(self) -> float:
        """Time the run took, s; the sum over its cases when the run itself does not say."""
        wall = self.facts.get("wall_s")
        return float(wall) if isinstance(wall, int | float) else sum(case.wall_s for case in self.cases)

    def _first(self, key: str) -> Any:
        return next(
            (case.manifest[key] for case in self.cases if case.manifest and key in case.manifest), None
        )
