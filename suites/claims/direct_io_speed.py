# SPDX-License-Identifier: GPL-2.0-or-later
"""What recorded measurements say of direct reads against buffered ones: speed, and CPU time a GiB."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan

from harness.bundle import Bundle
from harness.claims import Figure, Plot, Series, Table
from harness.judge.verdict import judge_bundle
from harness.measured import MEASUREMENTS_FILE, Measurement, load_measurements
from harness.verdicts import Verdict
from suites.claims.stats import Interval, bootstrap

__all__ = ["by_rounds", "measured", "ratio"]

DIRECT, BUFFERED = "direct", "buffered"
MIB, GIB = 1 << 20, 1 << 30

Rounds = Mapping[str, Sequence[Measurement]]
"""By way, the measurements of one workload, round by round."""
Value = Callable[[Measurement], float]


def speed(one: Measurement) -> float:
    """Return MiB/s."""
    return one.read_bytes / one.seconds / MIB


def task_cpu(one: Measurement) -> float:
    """Return the CPU time of who reads, s a GiB; NaN where it is not known."""
    return float("nan") if one.task_cpu_s is None else one.task_cpu_s * GIB / one.read_bytes


def kernel_cpu(one: Measurement) -> float:
    """Return the CPU time of kernel threads, s a GiB."""
    return one.kernel_cpu_s * GIB / one.read_bytes


def all_cpu(one: Measurement) -> float:
    """Return the sum of both."""
    return task_cpu(one) + kernel_cpu(one)


def measured(bundles: Sequence[Bundle]) -> tuple[list[Table], list[Plot]]:
    """Return tables and plots for each bundle of measurements that passes."""
    tables, plots = [], []
    for bundle in bundles:
        if not bundle.has(MEASUREMENTS_FILE) or judge_bundle(bundle).verdict is not Verdict.PASS:
            continue
        release = bundle.manifest["kernel"]["release"]
        found = load_measurements(bundle)
        workloads = {what: by_rounds(found, what) for what in dict.fromkeys(one.what for one in found)}
        tables += [
            _speeds(release, workloads, _note(bundle, found)),
            _costs(release, workloads),
        ]
        plots += [
            _plot(f"Speed, direct / buffered, Linux {release}", workloads, speed),
            _plot(f"CPU time a GiB, direct / buffered, Linux {release}", workloads, all_cpu),
        ]
    return tables, plots


def by_rounds(found: Sequence[Measurement], what: str) -> dict[str, list[Measurement]]:
    """Return by way the measurements of a workload, in rounds that have both ways."""
    of_way = {
        way: {one.round: one for one in found if (one.what, one.way) == (what, way)}
        for way in (DIRECT, BUFFERED)
    }
    both = sorted(of_way[DIRECT].keys() & of_way[BUFFERED].keys())
    return {way: [rounds[number] for number in both] for way, rounds in of_way.items()}


def ratio(rounds: Rounds, value: Value) -> Interval | None:
    """Return direct / buffered, each ratio within a round; None where a value is not known."""
    pairs = zip(rounds[DIRECT], rounds[BUFFERED], strict=True)
    ratios = [value(direct) / value(buffered) for direct, buffered in pairs if value(buffered)]
    return bootstrap(ratios) if ratios and not any(map(isnan, ratios)) else None


def _median(rounds: Sequence[Measurement], value: Value) -> Figure:
    values = [value(one) for one in rounds]
    return None if any(map(isnan, values)) else bootstrap(values).median


def _bounds(interval: Interval | None) -> tuple[Figure, Figure, Figure]:
    return (interval.median, interval.low, interval.high) if interval else (None, None, None)


def _speeds(release: str, workloads: Mapping[str, Rounds], note: str) -> Table:
    rows = []
    for what, rounds in workloads.items():
        medians = [_median(rounds[way], speed) for way in (DIRECT, BUFFERED)]
        rows.append((what, len(rounds[DIRECT]), *medians, *_bounds(ratio(rounds, speed))))
    return Table(
        f"Measured on Linux {release}: speed",
        (
            *("what is read", "rounds", "direct, MiB/s", "buffered, MiB/s", "direct / buffered"),
            *("95 % interval, from", "to"),
        ),
        tuple(rows),
        note,
    )


def _costs(release: str, workloads: Mapping[str, Rounds]) -> Table:
    rows = []
    for what, rounds in workloads.items():
        medians = [
            _median(rounds[way], value) for value in (task_cpu, kernel_cpu) for way in (DIRECT, BUFFERED)
        ]
        rows.append((what, *medians, *_bounds(ratio(rounds, all_cpu))))
    heads = (
        *("what is read", "reader, direct, s/GiB", "reader, buffered", "kernel threads, direct, s/GiB"),
        *("kernel threads, buffered", "both, direct / buffered", "95 % interval, from", "to"),
    )
    return Table(
        f"Measured on Linux {release}: CPU time for each GiB read",
        heads,
        tuple(rows),
        "Reader: the process that fio reads in, by taskstats at its exit. Kernel threads: all of the "
        "machine, whoever they worked for; checksums are compared there, loop devices read there, and so "
        "does whatever else ran at the time.",
    )


def _note(bundle: Bundle, found: Sequence[Measurement]) -> str:
    loads = [one.load for one in found]
    devices = bundle.manifest["devices"]
    below = "with direct I/O" if devices["direct_io"] else "through the page cache"
    return (
        f"fio on {bundle.manifest['started']}, load {min(loads):.1f} to {max(loads):.1f}; a loop device "
        f"{below} on {devices['backing']}. Files of which nothing was in memory, the ways in turns (A B C, "
        "then C B A), after a round to warm up; ratios are taken within a round. Buffered readers at "
        "random are known as such (POSIX_FADV_RANDOM), others are read ahead."
    )


def _plot(title: str, workloads: Mapping[str, Rounds], value: Value) -> Plot:
    found = {what: ratio(rounds, value) for what, rounds in workloads.items()}
    known = {what: one for what, one in found.items() if one}
    bars = Series(
        "direct / buffered",
        tuple(one.median for one in known.values()),
        tuple(one.low for one in known.values()),
        tuple(one.high for one in known.values()),
    )
    return Plot(title, "bars", tuple(known), (bars,), "direct / buffered", 1.0)
