# SPDX-License-Identifier: GPL-2.0-or-later
"""A run as the reports see it: the facts of `run.json` and one result a case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.bundle import MANIFEST, VERDICT_FILE, Bundle
from harness.errors import UserError
from harness.verdicts import CaseVerdict, Verdict, worst
from reports.text import dig, plain
from reports.timeline import Timeline

__all__ = ["RUN_FILE", "CaseResult", "Run", "load_run"]

RUN_FILE = "run.json"


@dataclass(frozen=True)
class CaseResult:
    """One case of a run."""

    verdict: CaseVerdict
    """The judgement; made up here (UNDECIDED) when a case was never recorded or never judged."""
    timeline: Timeline
    """The verdict's series, checked."""
    folder: Path | None
    """Where the case's files are; None when the run ended before it."""
    bundle: Bundle | None
    """The record; None when the case was skipped or its record is lost."""

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
    def kernel(self) -> str | None:
        """Release of the kernel that was recorded, if known."""
        return plain(dig(self.manifest, "kernel", "release"))

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
    cases: tuple[CaseResult, ...]
    """In the order in which they were to run."""

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict of the cases; an interrupted run is no PASS."""
        verdicts = [case.verdict.verdict for case in self.cases]
        return worst([*verdicts, Verdict.UNDECIDED] if self.interrupted else verdicts)

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

    @property
    def kernel(self) -> str:
        """Releases of the kernels under test, as recorded; what `run.json` says when nothing was."""
        recorded = sorted({case.kernel for case in self.cases if case.kernel})
        told = self.facts.get("kernel")
        return ", ".join(recorded) or plain(dig(told, "release")) or plain(told) or "unknown"

    def _first(self, key: str) -> Any:
        return next(
            (case.manifest[key] for case in self.cases if case.manifest and key in case.manifest), None
        )


def load_run(path: Path) -> Run:
    """Read a run folder, or the folder of a single case.

    Raises UserError when `path` is neither, and when a bundle or a verdict in it cannot be trusted.
    """
    facts = _run_facts(path)
    if not facts and list(path.glob(f"*/{RUN_FILE}")):
        raise UserError(f"{path}: holds several runs: give one of the folders in it")
    folders = sorted({file.parent for name in (MANIFEST, VERDICT_FILE) for file in path.rglob(name)})
    if not facts and not folders:
        raise UserError(f"{path}: neither a run nor a case (no {RUN_FILE}, no {MANIFEST}): give a run folder")
    return Run(path, facts, tuple(_in_order([_result(folder) for folder in folders], facts)))


def _run_facts(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise UserError(f"{path}: no such folder: give a run folder")
    file = path / RUN_FILE
    if not file.exists():
        return {}
    facts = _read_json(file)
    if facts.get("format") != 1:
        raise UserError(
            f"{file}: format {facts.get('format')!r}, this iodiff reads 1: use the iodiff it came from"
        )
    return facts


def _in_order(results: list[CaseResult], facts: Mapping[str, Any]) -> list[CaseResult]:
    planned = [str(case) for case in facts.get("cases") or []]
    rank = {case: number for number, case in reversed(list(enumerate(planned)))}
    present = {result.id for result in results}
    results = results + [_missing(case, facts) for case in rank if case not in present]
    return sorted(results, key=lambda result: rank.get(result.id, len(planned)))


def _missing(case: str, facts: Mapping[str, Any]) -> CaseResult:
    reason = "the run was interrupted before this case was recorded"
    if not facts.get("interrupted"):
        reason = "the run left no record of this case"
    verdict = CaseVerdict(case, case.partition("/")[0], Verdict.UNDECIDED, (), (reason,))
    return CaseResult(verdict, Timeline(), None, None)


def _result(folder: Path) -> CaseResult:
    bundle = Bundle.open(folder) if (folder / MANIFEST).exists() else None
    file = folder / VERDICT_FILE
    if not file.exists():
        return CaseResult(_not_judged(folder, bundle), Timeline(), folder, bundle)
    try:
        verdict = CaseVerdict.from_json(_read_json(file))
        timeline = Timeline.read(verdict.timeline)
        _check_types(verdict)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{file}: not a verdict ({error!r}): judge the case again") from None
    return CaseResult(verdict, timeline, folder, bundle)


def _not_judged(folder: Path, bundle: Bundle | None) -> CaseVerdict:
    manifest = bundle.manifest if bundle else {}
    case = str(dig(manifest, "case", "id") or folder.name)
    lost, events, seed = (
        dig(manifest, "capture", "lost"),
        dig(manifest, "capture", "events"),
        manifest.get("seed"),
    )
    return CaseVerdict(
        case,
        str(dig(manifest, "case", "suite") or case.partition("/")[0]),
        Verdict.UNDECIDED,
        (),
        ("recorded, but not judged yet",),
        events=events if isinstance(events, int) else 0,
        lost=lost if isinstance(lost, int) else 0,
        seed=seed if isinstance(seed, int) else 0,
        judge=f"./iodiff judge {folder}",
    )


def _check_types(verdict: CaseVerdict) -> None:
    counts = [verdict.events, verdict.lost, verdict.seed]
    counts += [number for check in verdict.checks for number in (check.compared, check.wrong)]
    if not all(isinstance(number, int) for number in counts):
        raise TypeError("a count is not a whole number")
    if not isinstance(verdict.case, str) or not isinstance(verdict.suite, str):
        raise TypeError("the case has no name")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}): run or judge again") from None
    if not isinstance(data, dict):
        raise UserError(f"{file}: not a JSON object: run or judge again")
    return data
