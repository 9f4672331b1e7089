# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels on which direct reads cannot be recorded are told, each with its reasons."""

from __future__ import annotations

import pytest

from harness.direct_io import kernel, needs
from harness.kernels import HOST, resolve

EVENTS = (kernel.BIO, kernel.DIRECT, kernel.PAGE)


def test_a_kernel_without_tracepoints_has_a_reason_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in EVENTS:
        symbols = frozenset(f"__traceiter_{event}" for event in EVENTS if event != missing)
        monkeypatch.setattr(needs, "running_symbols", lambda symbols=symbols: symbols)
        (reason,) = needs.why_no_direct_io(resolve(HOST))
        assert missing in reason
    monkeypatch.setattr(needs, "running_symbols", lambda: frozenset(f"__traceiter_{e}" for e in EVENTS))
    assert not needs.why_no_direct_io(resolve(HOST))
