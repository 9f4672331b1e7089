# SPDX-License-Identifier: GPL-2.0-or-later
"""The project's own measurements are whole, and small."""

from __future__ import annotations

from harness.bundle import Bundle
from harness.judge.verdict import judge_bundle
from harness.measured import load_measurements
from harness.verdicts import Verdict
from suites.claims.direct_io_speed import measured
from suites.claims.measure import DATA
from suites.direct_io.speed_cases import BUFFERED, DIRECT, ROUNDS, WORKLOADS

BUNDLE = DATA / "direct_io_speed/host/throughput"


def test_each_workload_was_measured_both_ways_in_each_round() -> None:
    found = load_measurements(Bundle.open(BUNDLE))
    expected = {
        (w.what, way, n) for w in WORKLOADS for way in (DIRECT, BUFFERED) for n in range(1, ROUNDS + 1)
    }
    assert {(one.what, one.way, one.round) for one in found} == expected
    assert len(found) == len(expected)
    assert all(one.task_cpu_s is not None and one.seconds > 0.05 for one in found)


def test_it_passes_and_is_small() -> None:
    assert judge_bundle(Bundle.open(BUNDLE)).verdict is Verdict.PASS
    assert sum(file.stat().st_size for file in BUNDLE.rglob("*") if file.is_file()) < 500_000


def test_both_tables_have_every_workload() -> None:
    tables, plots = measured([Bundle.open(BUNDLE)])
    assert [[row[0] for row in table.rows] for table in tables] == [[w.what for w in WORKLOADS]] * 2
    assert [len(plot.labels) for plot in plots] == [len(WORKLOADS)] * 2
    assert all(None not in row for table in tables for row in table.rows)
