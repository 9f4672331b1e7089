# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels on which direct reads cannot be recorded are told, each with its reasons."""

from __future__ import annotations

import pytest

from harness.direct_io import needs
from harness.direct_io.capture import PROGRAMS
from harness.kernels import HOST, resolve


def test_a_kernel_without_tracepoints_has_a_reason_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    events = sorted(PROGRAMS.values())
    monkeypatch.setattr(needs, "running_symbols", lambda: frozenset(f"__traceiter_{e}" for e in events[1:]))
    (reason,) = needs.why_no_direct_io(resolve(HOST))
    assert events[0] in reason
    monkeypatch.setattr(needs, "running_symbols", lambda: frozenset(f"__traceiter_{e}" for e in events))
    assert needs.why_no_direct_io(resolve(HOST)) == []


def test_guests_are_not_recorded_yet() -> None:
    (reason,) = needs.why_no_direct_io(resolve("debian:6.12"))
    assert "host only" in reason
