# SPDX-License-Identifier: GPL-2.0-or-later
"""What recorded cases say of walk and readahead on rotational disks in real time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.bundle import Bundle
from harness.claims import Conclusion, Fact, Figure, Plot, Series, Table
from harness.judge.verdict import judge_bundle
from harness.readahead.reads import Run, load_runs
from harness.verdicts import Verdict
from suites.claims.measure import Workbench
from suites.claims.rules import by_interval
from suites.claims.stats import Interval, bootstrap

__all__ = ["CASE", "on_disks", "speed_ups"]

CASE = "readahead/rotational"
WALK = "walk"


def speed_ups(runs: Sequence[Run]) -> dict[str, list[float]]:
    """Return how many times as long as each other method the walk took, round by round.

    Runs are in turns: each round has each method once.

    >>> from types import SimpleNamespace as R
    >>> speed_ups([R(method="walk", seconds=6.0), R(method="a", seconds=2.0)])
    {'a': [3.0]}
    """
    methods = list(dict.fromkeys(run.method for run in runs))
    rounds = [runs[n : n + len(methods)] for n in range(0, len(runs), len(methods))]
    times = [{run.method: run.seconds for run in one} for one in rounds]
    return {m: [one[WALK] / one[m] for one in times] for m in methods if m != WALK}


def on_disks(bench: Workbench, factor: float) -> tuple[list[Fact], list[Table], list[Plot]]:
    """Return what the recorded cases say; one that does not pass, or none at all, can tell nothing."""
    bundles = [b for b in bench.of_suite("readahead") if b.manifest["case"]["id"] == CASE]
    if not bundles:
        return [_untold("no bundle of it was given")], [], []
    facts, tables, plots = [], [], []
    for bundle in bundles:
        verdict = judge_bundle(bundle).verdict
        if verdict is not Verdict.PASS:
            facts.append(_untold(f"{bundle.path}: {verdict}"))
            continue
        runs = load_runs(bundle)
        ratios = {method: bootstrap(rounds) for method, rounds in speed_ups(runs).items()}
        facts += [
            by_interval(f"real rotational loop devices: walk / {method}", ratio, factor)
            for method, ratio in ratios.items()
        ]
        tables.append(_table(bundle, runs, ratios))
        plots.append(_plot(ratios, factor))
    return facts, tables, plots


def _untold(why: str) -> Fact:
    return Fact(f"real rotational loop devices ({CASE})", why, Conclusion.UNTESTABLE)


def _table(bundle: Bundle, runs: Sequence[Run], ratios: Mapping[str, Interval]) -> Table:
    times: dict[str, list[float]] = {}
    for run in runs:
        times.setdefault(run.method, []).append(run.seconds)
    rows: list[tuple[Figure, ...]] = []
    for method, seconds in times.items():
        ratio = ratios.get(method)
        of_ratio = (ratio.median, ratio.low, ratio.high) if ratio else (None, None, None)
        rows.append((method, len(seconds), bootstrap(seconds).median, *of_ratio))
    release = bundle.manifest["kernel"]["release"]
    return Table(
        "Rotational disks in real time",
        ("method", "rounds", "median, s", "walk / method", "95 % interval, from", "to"),
        tuple(rows),
        f"Recorded {bundle.manifest['started']} on Linux {release}: {len(runs[0].reads):,} blocks of a tree "
        "that the kernel wrote, read past its page cache from loop devices, each of which serves one request "
        "at a time and takes as long as the disk of the model. Ratios are taken within a round.",
    )


def _plot(ratios: Mapping[str, Interval], factor: float) -> Plot:
    intervals = list(ratios.values())
    bars = Series(
        "walk / method",
        tuple(i.median for i in intervals),
        tuple(i.low for i in intervals),
        tuple(i.high for i in intervals),
    )
    return Plot(
        "Speed-up on rotational disks in real time", "bars", tuple(ratios), (bars,), "walk / method", factor
    )
