# SPDX-License-Identifier: GPL-2.0-or-later
"""What recorded cases say of walk and readahead on rotational disks in real time."""

from __future__ import annotations

from collections.abc import Mapping

from harness.bundle import Bundle
from harness.claims import Conclusion, Fact, Figure, Plot, Series, Table
from harness.judge.verdict import judge_bundle
from harness.verdicts import Verdict
from suites.claims.measure import Workbench
from suites.claims.readahead_recorded import WALK, times
from suites.claims.rules import by_interval
from suites.claims.stats import Interval, bootstrap

__all__ = ["on_disks", "speed_ups"]

CASES = {
    "readahead/rotational": "rotational loop devices, the model's engine",
    "readahead/guest-rotational": "rotational drives, the kernel's own reada.c",
}
"""The cases that are concluded from, each with what is real in it."""


def speed_ups(seconds: Mapping[str, list[float]]) -> dict[str, Interval]:
    """Return how many times as long as each other method the walk took; ratios are taken within a round.

    >>> speed_ups({"walk": [6.0, 6.0], "readahead": [2.0, 2.0]})
    {'readahead': Interval(median=3.0, low=3.0, high=3.0)}
    """
    return {
        method: bootstrap([walk / other for walk, other in zip(seconds[WALK], rounds, strict=True)])
        for method, rounds in seconds.items()
        if method != WALK
    }


def on_disks(bench: Workbench, factor: float) -> tuple[list[Fact], list[Table], list[Plot]]:
    """Return what the recorded cases say; one that does not pass, or none at all, can tell nothing."""
    facts, tables, plots = [], [], []
    for case, what in CASES.items():
        bundles = [b for b in bench.of_suite("readahead") if b.manifest["case"]["id"] == case]
        if not bundles:
            facts.append(_untold(what, f"no bundle of {case} was given"))
        for bundle in bundles:
            verdict = judge_bundle(bundle).verdict
            if verdict is not Verdict.PASS:
                facts.append(_untold(what, f"{bundle.path}: {verdict}"))
                continue
            seconds = times(bundle)
            ratios = speed_ups(seconds)
            facts += [by_interval(f"{what}: walk / {m}", ratio, factor) for m, ratio in ratios.items()]
            tables.append(_table(what, bundle, seconds, ratios))
            plots.append(_plot(what, ratios, factor))
    return facts, tables, plots


def _untold(what: str, why: str) -> Fact:
    return Fact(what, why, Conclusion.UNTESTABLE)


def _table(
    what: str, bundle: Bundle, seconds: Mapping[str, list[float]], ratios: Mapping[str, Interval]
) -> Table:
    rows: list[tuple[Figure, ...]] = []
    for method, rounds in seconds.items():
        ratio = ratios.get(method)
        of_ratio = (ratio.median, ratio.low, ratio.high) if ratio else (None, None, None)
        rows.append((method, len(rounds), bootstrap(rounds).median, *of_ratio))
    release = bundle.manifest["kernel"]["release"]
    return Table(
        f"In real time: {what}",
        ("method", "rounds", "median, s", "walk / method", "95 % interval, from", "to"),
        tuple(rows),
        f"Recorded {bundle.manifest['started']} on Linux {release}: a tree that this kernel wrote, with "
        "nothing of it in memory, on disks of which each serves one request at a time and takes as long as "
        "the disk of the model.",
    )


def _plot(what: str, ratios: Mapping[str, Interval], factor: float) -> Plot:
    intervals = list(ratios.values())
    bars = Series(
        "walk / method",
        tuple(i.median for i in intervals),
        tuple(i.low for i in intervals),
        tuple(i.high for i in intervals),
    )
    return Plot(f"Speed-up in real time: {what}", "bars", tuple(ratios), (bars,), "walk / method", factor)
