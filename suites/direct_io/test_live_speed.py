# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct and buffered reads are measured on the running kernel, CPU time included."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.kernels import HOST, resolve
from harness.measured import load_measurements
from harness.run import Observer, RunPlan, run_cases
from suites.claims.direct_io_speed import all_cpu, by_rounds, measured, ratio
from suites.direct_io import speed_cases

pytestmark = pytest.mark.live

MIB = 1 << 20


@pytest.mark.timeout(300)
def test_both_ways_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"rw": "read", "bs": "64k", "io_size": "16m"}
    workloads = tuple(speed_cases._Workload(name, name, small) for name in ("plain", "zlib"))
    monkeypatch.setattr(speed_cases, "WORKLOADS", workloads)
    monkeypatch.setattr(speed_cases, "ROUNDS", 2)
    monkeypatch.setattr(speed_cases, "FILE_MIB", 16)
    run_cases(
        RunPlan(speed_cases.CASES, [resolve(HOST)], tmp_path / "out", tmp_path / "work", seed=1), Observer()
    )
    (folder,) = (path.parent for path in tmp_path.glob("out/host/*/bundle.json"))
    found = load_measurements(Bundle.open(folder))
    assert len(found) == 2 * 2 * 2
    assert {one.read_bytes for one in found} == {16 * MIB}
    assert [one for one in found if not one.task_cpu_s or not one.kernel_cpu_s] == []
    assert all(one.task_cpu_s < 2 * one.seconds + 0.1 for one in found if one.task_cpu_s)
    assert ratio(by_rounds(found, "zlib"), all_cpu) is not None
    tables, plots = measured([Bundle.open(folder)])
    assert (len(tables), len(plots)) == (2, 2)
    assert [row[0] for row in tables[0].rows] == ["plain", "zlib"]
