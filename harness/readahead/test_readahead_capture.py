# SPDX-License-Identifier: GPL-2.0-or-later
"""The capture around the module's device, which stands in here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import InfrastructureError
from harness.metadata.testing import ImageBuilder
from harness.readahead import capture as captures
from harness.readahead.capture import ReadaheadCapture, ReadaheadRecording
from harness.readahead.device import RECORD, Handle, Recorded
from harness.readahead.excerpt import Device
from harness.readahead.record import COLUMNS, Request
from reference.ondisk import TreeId
from reference.readahead import MAX_KEY, MIN_KEY

REQUEST = Request(TreeId.EXTENT, MIN_KEY, MAX_KEY)


class _Device:
    """The module's device, of which nothing is there."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self, _mount: Path) -> list[Device]:
        self.calls.append("start")
        return [Device(1)]

    def stop(self) -> Recorded:
        self.calls.append("stop")
        records = np.zeros(3, RECORD)
        return Recorded(
            {name: records[name].astype(dtype) for name, dtype in COLUMNS.items()}, {"ring": 2, "probe": 0}
        )

    def add(self, _mount: Path, number: int, _request: Request) -> Handle:
        self.calls.append(f"add {number}")
        return Handle(number)

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReadaheadCapture:
    """Return a capture on a device that is not there."""
    (tmp_path / "cpumask").write_text("ff")
    monkeypatch.setattr(captures, "UNBOUND_CPUS", tmp_path / "cpumask")
    monkeypatch.setattr(captures, "_load", lambda: None)
    monkeypatch.setattr(captures, "ReadaDevice", _Device)
    return ReadaheadCapture()


def _calls(capture: ReadaheadCapture) -> list[str]:
    device: Any = capture._device
    assert isinstance(device, _Device)
    return device.calls


def test_what_is_recorded_comes_with_the_trees_that_were_asked_for(
    capture: ReadaheadCapture, tmp_path: Path
) -> None:
    processors = os.sched_getaffinity(0)
    with capture.recording(tmp_path):
        assert len(os.sched_getaffinity(0)) == 1
        capture.add(REQUEST)
        capture.add(REQUEST)
    assert capture.end(ImageBuilder(leaves=3).save(tmp_path)) == 3
    assert os.sched_getaffinity(0) == processors
    assert _calls(capture) == ["start", "add 0", "add 1", "stop"]
    recording = capture.stop()
    assert isinstance(recording, ReadaheadRecording)
    assert recording.lost == {"ring": 2, "probe": 0}
    assert recording.requests == (REQUEST, REQUEST)
    assert recording.trees is not None
    assert len(recording.trees.nodes) == 4


def test_a_case_that_breaks_off_does_not_keep_the_file_system_busy(
    capture: ReadaheadCapture, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt), capture.recording(tmp_path):
        raise KeyboardInterrupt
    assert _calls(capture) == ["start", "stop"]
    with pytest.raises(InfrastructureError, match="did not come to the end"):
        capture.stop()


def test_there_are_no_checkpoints(capture: ReadaheadCapture) -> None:
    with pytest.raises(InfrastructureError, match="a readahead has none"):
        capture.checkpoint("here")
