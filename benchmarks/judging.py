# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure how long judging takes against recording: `python -m benchmarks.judging`. Needs root.

Each quick case is recorded once and its bundle judged several times. Recording is the whole of it: devices,
workload, quiet points, bundle.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from benchmarks.common import arguments, in_turns, median_range, run, show_machine, workspace
from harness.bundle import Bundle
from harness.capture.choice import prepared_bpf
from harness.cases import Case
from harness.judge.verdict import judge_bundle
from harness.record.record import RecordPlan, record_case
from harness.verdicts import CaseVerdict
from loopdevs import Workspace
from suites.extent_state import CASES

__all__ = ["main"]

SEED = 1


def operations(verdict: CaseVerdict) -> int:
    """Return how many operations on trees the judge replayed."""
    return next((check.compared for check in verdict.checks if check.name == "operations"), 0)


def record(case: Case, place: Workspace) -> tuple[Bundle, float]:
    """Record `case`; return its bundle and the time taken, s."""
    begin = time.monotonic()
    folder = place.path("bundles") / Path(case.id).name
    bundle = record_case(RecordPlan(case, SEED, "benchmark", folder), place, prepared_bpf)
    return bundle, time.monotonic() - begin


def judged(bundle: Bundle) -> float:
    """Judge `bundle` from its files; return the time taken, s."""
    begin = time.monotonic()
    judge_bundle(Bundle.open(bundle.path))
    return time.monotonic() - begin


def line(name: str, replayed: int, recorded_s: float, judged_s: list[float]) -> str:
    """Return a row of the table."""
    rate = replayed / statistics.median(judged_s)
    ratios = [s / recorded_s for s in judged_s]
    return f"{name:<26} {replayed:>10,} {recorded_s:>9.1f} {rate:>12,.0f}  {median_range(ratios)}"


def main() -> None:
    """Print one row a quick case, and one for all of them."""
    options = arguments(
        "Judging time against recording time, for the quick cases of extent_state.",
        repetitions=(2, "how often each bundle is judged"),
    )
    deadline = time.monotonic() + options.deadline
    show_machine()
    print(f"{'case':<26} {'operations':>10} {'record, s':>9} {'operations/s':>12}  judge time / record time")
    total, recording, judging = 0, 0.0, 0.0
    with workspace() as place:
        for case in (c for c in CASES if "quick" in c.groups):
            if time.monotonic() > deadline:
                print("deadline: the cases that follow are left out")
                break
            bundle, recorded_s = record(case, place)
            replayed = operations(judge_bundle(bundle))
            ways = {case.id: lambda bundle=bundle: judged(bundle)}
            times = in_turns(ways, options.repetitions, deadline)[case.id]
            print(line(Path(case.id).name, replayed, recorded_s, times))
            total, recording = total + replayed, recording + recorded_s
            judging += statistics.median(times)
    if judging:
        print(line("all", total, recording, [judging]))


if __name__ == "__main__":
    run(main)
