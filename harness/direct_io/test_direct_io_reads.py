# SPDX-License-Identifier: GPL-2.0-or-later
"""Making reads is broken off cleanly: threads end before what they work with is given back."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.direct_io.reads import make_reads
from harness.direct_io.record import DirectRead
from reference.direct_io.source import IoVec

BLOCK = 4096


class Stopped(BaseException):
    """What a signal raises in the main thread."""


class SlowCapture:
    """Takes its time, so that a thread is in the middle of its reads."""

    def number(self, _number: int) -> None:
        time.sleep(0.5)

    def drain(self) -> None:
        pass


def test_a_signal_in_the_middle_of_reads_is_what_comes_out(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(BLOCK))
    nothing: Any = SimpleNamespace(backing_files=[], disks=[], devices=[])
    capture: Any = SlowCapture()

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Stopped):
            make_reads([file], [DirectRead(0, 0, [IoVec(0, BLOCK)])] * 2, capture, nothing)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
