# SPDX-License-Identifier: GPL-2.0-or-later
"""A real set in a guest, recorded and judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.cases import find_case
from harness.verdicts import Verdict
from suites.guests.sessions import fetched, made_session, record

pytestmark = [pytest.mark.boots, pytest.mark.timeout(900)]

CASE = "bcache/data-missed-4k"


@pytest.mark.parametrize("name", ["debian:6.12", "debian:sid"])
def test_a_set_is_followed_key_by_key(tmp_path: Path, name: str) -> None:
    kernel, case = fetched(name), find_case(CASE)
    assert case.why_not(kernel) == []
    with made_session(kernel, tmp_path / "work") as session:
        verdict = record(session, case, tmp_path)
    assert verdict.verdict is Verdict.PASS, verdict
    assert verdict.counts["keys refused"]
    manifest = Bundle.open(tmp_path / "data-missed-4k").manifest
    assert manifest["capture"]["lost"] == 0
    assert manifest["devices"]["cache_mode"] == "writearound"
