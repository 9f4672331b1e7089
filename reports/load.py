# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a run from its folder, and refuses what cannot be trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.bundle import MANIFEST, VERDICT_FILE, Bundle
from harness.errors import UserError
from harness.verdicts import CaseVerdict, Verdict
from reports.cache_map import CacheMap
from reports.kernels import Kernel, planned_kernels, recorded_kernels
from reports.run import BEHAVIOUR, CaseResult, Run
from reports.text import UNKNOWN, dig
from reports.timeline import Timeline

__all__ = ["FORMAT", "RUN_FILE", "load_run"]

RUN_FILE = "run.json"
FORMAT = 2
"""Of `run.json`: cases in a folder a kernel."""


def load_run(path: Path) -> Run:
    """Read a run folder, the folder of a single case, or one that holds bundles and no `run.json`.

    Raises UserError when `path` is neither, and when a bundle or a verdict in it cannot be trusted.
    """
    facts = _run_facts(path)
    if not facts and list(path.glob(f"*/{RUN_FILE}")):
        raise UserError(f"{path}: holds several runs: give one of the folders in it")
    folders = sorted({file.parent for name in (MANIFEST, VERDICT_FILE) for file in path.rglob(name)})
    if not facts and not folders:
        raise UserError(f"{path}: neither a run nor a case (no {RUN_FILE}, no {MANIFEST}): give a run folder")
    return _planned_run(path, facts, folders) if facts else _loose_run(path, folders)


def _run_facts(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise UserError(f"{path}: no such folder: give a run folder")
    file = path / RUN_FILE
    if not file.exists():
        return {}
    facts = _read_json(file)
    if facts.get("format") == 1:
        raise UserError(
            f"{file}: format 1, of an older iodiff, this one reads {FORMAT}: "
            "`./iodiff judge` its bundles, or `./iodiff report` them one by one with --out"
        )
    if facts.get("format") != FORMAT:
        raise UserError(
            f"{file}: format {facts.get('format')!r}, this iodiff reads {FORMAT}: use the iodiff it came from"
        )
    return facts


def _planned_run(path: Path, facts: Mapping[str, Any], folders: Sequence[Path]) -> Run:
    try:
        planned = {kernel.label: kernel for kernel in planned_kernels(facts)}
    except ValueError as error:
        raise UserError(f"{path / RUN_FILE}: {error}: run again") from None
    found: dict[str, list[CaseResult]] = {label: [] for label in planned}
    for folder in folders:
        label = (*folder.relative_to(path).parts, "")[0]
        if label not in planned:
            raise UserError(f"{folder}: in the folder of no kernel of {RUN_FILE}: move it out of the run")
        found[label].append(_result(folder, planned[label]))
    kernels, cases = [], []
    for label, results in found.items():
        kernel = _with_release(planned[label], results)
        of_kernel = [
            replace(case, kernel=kernel, expected=kernel.expected.get(case.id, "")) for case in results
        ]
        kernels.append(kernel)
        cases += _in_order(kernel, of_kernel, interrupted=bool(facts.get("interrupted")))
    return Run(path, facts, tuple(kernels), tuple(cases))


def _with_release(kernel: Kernel, cases: Sequence[CaseResult]) -> Kernel:
    """Return the kernel with the release that was recorded; UserError when it is not everywhere the same."""
    for case in cases:
        release = dig(case.manifest, "kernel", "release")
        if release and kernel.release == UNKNOWN:
            kernel = replace(kernel, release=str(release))
        if release and release != kernel.release:
            raise UserError(
                f"{case.folder}: recorded on {release}, but {kernel.label} is {kernel.release}: "
                "put it back where it was recorded"
            )
    return kernel


def _loose_run(path: Path, folders: Sequence[Path]) -> Run:
    cases = [_result(folder, Kernel("host", "host")) for folder in folders]
    kernels = recorded_kernels(case.manifest for case in cases)
    cases = [replace(case, kernel=kernel) for case, kernel in zip(cases, kernels, strict=True)]
    by_label = {kernel.label: kernel for kernel in kernels}
    rank = {label: number for number, label in enumerate(by_label)}
    cases.sort(key=lambda case: rank[case.kernel.label])
    return Run(path, {}, tuple(by_label.values()), tuple(cases))


def _in_order(kernel: Kernel, results: Sequence[CaseResult], *, interrupted: bool) -> list[CaseResult]:
    """Put results into the order of the plan, with those that are missing."""
    # A case that was run several times has a folder each time; older runs tell cases only.
    by_folder = bool(kernel.trials)
    planned = kernel.trials or [(case, case) for case in dict.fromkeys(kernel.cases)]
    rank = {key: number for number, (_, key) in enumerate(planned)}
    found = [(_folder(result) if by_folder else result.id, result) for result in results]
    present = {key for key, _ in found}
    found += [
        (key, _missing(case, kernel, interrupted=interrupted)) for case, key in planned if key not in present
    ]
    return [result for _, result in sorted(found, key=lambda pair: rank.get(pair[0], len(rank)))]


def _folder(result: CaseResult) -> str:
    return result.folder.name if result.folder else ""


def _missing(case: str, kernel: Kernel, *, interrupted: bool) -> CaseResult:
    reason = "the run left no record of this case"
    if kernel.lost:
        reason = f"the guest was lost: {kernel.lost}"
    elif interrupted:
        reason = "the run was interrupted before this case was recorded"
    verdict = CaseVerdict(case, case.partition("/")[0], Verdict.UNDECIDED, (), (reason,))
    return CaseResult(kernel, verdict, Timeline(), None, None)


def _result(folder: Path, kernel: Kernel) -> CaseResult:
    bundle = Bundle.open(folder) if (folder / MANIFEST).exists() else None
    file = folder / VERDICT_FILE
    if not file.exists():
        return CaseResult(kernel, _not_judged(folder, bundle), Timeline(), folder, bundle)
    try:
        verdict = CaseVerdict.from_json(_read_json(file))
        timeline = Timeline.read(verdict.timeline)
        for found in verdict.cache_maps:
            CacheMap.read(found)
        _check_types(verdict)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{file}: not a verdict ({error!r}): judge the case again") from None
    return CaseResult(kernel, verdict, timeline, folder, bundle)


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
    counts += [number for name, number in verdict.counts.items() if not name.startswith(BEHAVIOUR)]
    if not all(isinstance(number, int) for number in counts):
        raise TypeError("a count is not a whole number")
    for one in verdict.evidence:
        if not all(isinstance(number, int) for number in (one.looked_at, one.decided, one.against)):
            raise TypeError("a count of evidence is not a whole number")
        if not all(isinstance(words, str) for words in (one.field, one.said)):
            raise TypeError("evidence has no name")
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
