# SPDX-License-Identifier: GPL-2.0-or-later
"""Measurements are kept as they are, and kernel threads' time is told from that of processes."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest

from harness import measured
from harness.bundle import BundleWriter
from harness.errors import InfrastructureError, UserError
from harness.measured import (
    MeasuredCapture,
    Measurement,
    keep_measurements,
    kernel_threads_ns,
    load_measurements,
)

ONE = Measurement("plain", "direct", 1, 4096, 0.5, None, 0.25, 1.0)


def test_measurements_are_kept(tmp_path: Path) -> None:
    capture = MeasuredCapture()
    capture.keep([ONE, ONE])
    recording = capture.stop()
    capture.close()
    assert (recording.method, recording.count, recording.lost) == ("measured", 2, {})
    writer = BundleWriter(tmp_path / "bundle")
    recording.save(writer)
    assert load_measurements(writer.finish({})) == [ONE, ONE]


def test_what_fio_reported_is_left_out(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "whole")
    writer.add_json("measurements.json", [asdict(ONE)])
    writer.add_text("fio/00-x.json", "{}")
    kept = keep_measurements(writer.finish({"seed": 5}), tmp_path / "kept")
    assert load_measurements(kept) == [ONE]
    assert list(kept.manifest["files"]) == ["measurements.json"]
    assert (kept.manifest["seed"], kept.manifest["left_out"]) == (5, "what fio reported")


def test_a_case_that_did_not_come_to_its_end_has_none() -> None:
    with pytest.raises(InfrastructureError, match="end of its measurements"):
        MeasuredCapture().stop()
    with pytest.raises(InfrastructureError, match="none"):
        MeasuredCapture().checkpoint("here")


@pytest.mark.parametrize("told", [[{"what": "x"}], [5]])
def test_something_else_is_refused(told: object, tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "bundle")
    writer.add_json("measurements.json", told)
    with pytest.raises(UserError, match="no measurements"):
        load_measurements(writer.finish({}))


def test_kernel_threads_are_children_of_kthreadd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def task(pid: int, name: str, parent: int, schedstat: str) -> None:
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "stat").write_text(f"{pid} ({name}) S {parent} 0 0\n")
        (folder / "schedstat").write_text(schedstat)

    task(7, "kworker/u4:0) S 1 (", 2, "1234 5 6\n")
    task(8, "bash", 1, "99 0 0\n")
    task(9, "kthread", 2, "")
    (tmp_path / "meminfo").write_text("")
    monkeypatch.setattr(measured, "_PROC", tmp_path)
    assert kernel_threads_ns() == {7: 1234}


def test_no_process_of_ours_is_a_kernel_thread() -> None:
    assert os.getpid() not in kernel_threads_ns()
