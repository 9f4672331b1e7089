# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine of Linux 5.10 itself, recorded in a guest and judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.cases import find_case
from harness.verdicts import Verdict
from suites.guests.sessions import fetched, made_session, record

pytestmark = [pytest.mark.boots, pytest.mark.timeout(900)]

CASE = "readahead/data-three"


def test_a_readahead_is_recorded_and_judged(tmp_path: Path) -> None:
    kernel = fetched("debian:5.10")
    case = find_case(CASE)
    assert case.why_not(kernel) == []
    with made_session(kernel, tmp_path / "work") as session:
        verdict = record(session, case, tmp_path)
    assert verdict.verdict is Verdict.PASS, verdict
    compared = {check.name: check.compared for check in verdict.checks}
    assert compared["blocks picked"] > 150
    assert Bundle.open(tmp_path / "data-three").manifest["capture"]["lost"] == 0


def test_a_kernel_without_the_engine_is_not_booted_for_it() -> None:
    (reason,) = find_case(CASE).why_not(fetched("debian:6.1"))
    assert "has no fs/btrfs/reada.c" in reason
