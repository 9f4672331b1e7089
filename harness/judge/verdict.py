# SPDX-License-Identifier: GPL-2.0-or-later
"""From a bundle to the verdict on its case."""

from __future__ import annotations

import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from harness.bundle import Bundle
from harness.errors import UserError
from harness.judge.bcache import judge_bcache
from harness.judge.bcache_crash import judge_crash_bundle
from harness.judge.bcache_maps import cache_maps
from harness.judge.direct_io import DirectReadsJudgement, judge_direct_reads
from harness.judge.direct_io_evidence import bundle_evidence
from harness.judge.direct_io_races import checks_of_race
from harness.judge.extent_state import Judgement, judge_record
from harness.judge.kernel_log import faults
from harness.judge.known_issues import KNOWN_ISSUE, known_issue
from harness.judge.metadata_reads import checks_of_reads
from harness.judge.readahead import ReadaheadJudgement, judge_readahead
from harness.judge.timeline import timeline
from harness.readahead.record import EVENTS_FILE
from harness.verdicts import CaseVerdict, Check, Difference, Evidence, Verdict, worst
from reference.extent_state import ExtentIoTree, MissingBitError, UnknownBehaviourError

__all__ = ["judge_bundle"]

_LOOP_DEVICE = re.compile(r"\bloop\d+\b")


def judge_bundle(bundle: Bundle, model: type[ExtentIoTree] = ExtentIoTree) -> CaseVerdict:
    """Judge everything that `bundle` holds; evidence that is lost makes what rests on it UNDECIDED."""
    begin = time.monotonic()
    manifest = bundle.manifest
    if manifest.get("skipped"):
        return _skip(bundle)
    capture = manifest["capture"]
    reasons = list(_reasons(bundle))
    checks = [_capture_check(bundle)]
    judgement: Judgement | None = None
    if bundle.has("events.npz") and not capture["lost"]:
        try:
            judgement = judge_record(bundle, model)
            checks += judgement.checks
        except (MissingBitError, UnknownBehaviourError) as error:
            reasons.append(str(error))
    checks += checks_of_reads(bundle)
    checks += checks_of_race(bundle)
    direct_reads = DirectReadsJudgement()
    evidence: tuple[Evidence, ...] = ()
    try:
        direct_reads = judge_direct_reads(bundle)
        checks += direct_reads.checks
        evidence = bundle_evidence(bundle)
    except UnknownBehaviourError as error:
        reasons.append(str(error))
    readahead: ReadaheadJudgement | None = None
    if bundle.has(EVENTS_FILE) and not capture["lost"]:
        try:
            readahead = judge_readahead(bundle)
            checks += readahead.checks
        except UserError as error:
            reasons.append(str(error))
    cache = judge_bcache(bundle)
    checks += cache.checks
    crashes = judge_crash_bundle(bundle)
    checks += crashes.checks
    log, known = _log_check(bundle)
    checks += [log, *_data_checks(bundle)]
    verdicts = [c.verdict for c in checks] + ([Verdict.UNDECIDED] if reasons else [])
    return CaseVerdict(
        case=manifest["case"]["id"],
        suite=manifest["case"]["suite"],
        verdict=worst(verdicts),
        checks=tuple(checks),
        reasons=tuple(reasons),
        events=capture["events"],
        lost=capture["lost"],
        seed=manifest["seed"],
        repeat=_repeat(manifest),
        judge=_judge(bundle),
        judged_s=round(time.monotonic() - begin, 3),
        counts={
            **(judgement.counts if judgement else {}),
            **(readahead.counts if readahead else {}),
            **direct_reads.counts,
            **cache.counts,
            **crashes.counts,
            **known,
        },
        timeline=timeline(judgement.record) if judgement else {},
        evidence=evidence,
        cache_maps=(*crashes.maps, *cache_maps(bundle)),
    )


def _skip(bundle: Bundle) -> CaseVerdict:
    case = bundle.manifest["case"]
    return CaseVerdict(
        case=case["id"],
        suite=case["suite"],
        verdict=Verdict.SKIP,
        checks=(),
        reasons=tuple(bundle.manifest["skipped"]),
        seed=bundle.manifest["seed"],
        repeat=_repeat(bundle.manifest),
        judge=_judge(bundle),
    )


def _judge(bundle: Bundle) -> str:
    return f"./iodiff judge {shlex.quote(str(bundle.path))}"


_GUEST_DEVICES = {"drive": "--guest-devices drives ", "rotational": "--guest-devices rotational "}


def _repeat(manifest: Mapping[str, Any]) -> str:
    source = manifest["kernel"]["source"]
    kernel = "" if source == "host" else f"--kernel {shlex.quote(source)} "
    # Bundles from before there were drives do not say.
    devices = _GUEST_DEVICES.get(manifest["devices"].get("kind"), "")
    return f"./iodiff run {kernel}{devices}--seed {manifest['seed']} {manifest['case']['id']}"


def _reasons(bundle: Bundle) -> Iterator[str]:
    if bundle.manifest["error"]:
        yield f"the recording broke off: {bundle.manifest['error']}"
    for name, count in bundle.manifest["capture"]["lost_reasons"].items():
        if count:
            yield f"{count:,} events lost ({name}): the model cannot be held against the rest"


def _capture_check(bundle: Bundle) -> Check:
    """Every event fired was recorded."""
    capture = bundle.manifest["capture"]
    if capture["lost"]:
        detail = f"{capture['lost']:,} events lost"
        return Check("events recorded", Verdict.UNDECIDED, capture["events"], 0, detail, by_model=False)
    return Check.of("events recorded", capture["events"], 0, by_model=False)


def _log_check(bundle: Bundle) -> tuple[Check, dict[str, int]]:
    """The kernel reported no fault of its own while the case ran, but for known issues, which are counted."""
    lines = [line for line in bundle.text("dmesg.txt").splitlines() if _may_be_ours(line, bundle)]
    found = [(name, line, known_issue(line, bundle)) for name, line in faults(lines)]
    known = Counter(f"{KNOWN_ISSUE}: {issue}" for _, _, issue in found if issue)
    wrong = [(name, line) for name, line, issue in found if not issue]
    first = None
    if wrong:
        name, line = wrong[0]
        first = Difference(summary=f"{name}: {line}", kernel=tuple(line for _, line in wrong))
    elif bundle.manifest["dmesg_overrun"]:
        detail = "lines were overwritten before they were read"
        return Check("kernel log", Verdict.UNDECIDED, len(lines), 0, detail, by_model=False), known
    detail = "; ".join(["lines", *(f"{count} of a {name}" for name, count in known.items())])
    return Check.of("kernel log", len(lines), len(wrong), detail=detail, first=first, by_model=False), known


def _may_be_ours(line: str, bundle: Bundle) -> bool:
    """Whether a line of the log, which is the whole machine's, names none but devices of this case."""
    named = set(_LOOP_DEVICE.findall(line))
    return not named or bool(named & bundle.json("devices.json").get("before", {}).keys())


def _data_checks(bundle: Bundle) -> Iterator[Check]:
    """What the workload wrote was read back as written; only cases that verify data have this check."""
    mismatch = bundle.manifest["data_mismatch"]
    steps = bundle.manifest["data_verifications"]
    if mismatch:
        yield Check.of("data", steps, 1, detail=mismatch, first=Difference(summary=mismatch), by_model=False)
    elif steps:
        yield Check.of("data", steps, 0, detail="verifying steps", by_model=False)
