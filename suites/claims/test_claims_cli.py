# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff bench` as its user has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suites.claims.catalogue import CLAIMS
from suites.claims.measure import DATA
from suites.meta.commands import complaint, iodiff


def test_claims_are_listed() -> None:
    done = iodiff("bench", "--list")
    assert done.returncode == 0
    for claim in CLAIMS:
        assert f"{claim.id}\n" in done.stdout
        assert claim.quotation in done.stdout


def test_claims_are_listed_as_json() -> None:
    listed = json.loads(iodiff("bench", "--list", "--json").stdout)
    assert [row["id"] for row in listed] == [claim.id for claim in CLAIMS]
    assert all(row["rule"] and row["quotation"] for row in listed)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "no claim is named"),
        (("nonsense",), "no claim is called 'nonsense'"),
        (("--all", "less-ram"), "--all and names of claims"),
        (("less-ram", "--bundle", "/nowhere"), "/nowhere: no complete bundle there"),
    ],
)
def test_bad_usage_is_told(arguments: tuple[str, ...], says: str) -> None:
    assert complaint(iodiff("bench", *arguments)).startswith(says)


def test_a_claim_is_measured_and_written(tmp_path: Path) -> None:
    done = iodiff("bench", "less-ram", "fewer-operations", "--bundle", DATA / "scattered", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "extent-map/less-ram" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("claim-extent-map-fewer-operations.html", "claim-extent-map-less-ram.html"),
        *("claims.html", "claims.json", "claims.md"),
    ]
    written = json.loads((tmp_path / "claims.json").read_text())
    assert [claim["id"] for claim in written["claims"]] == [
        "extent-map/less-ram",
        "extent-map/fewer-operations",
    ]
    assert "scattered" in (tmp_path / "claim-extent-map-less-ram.html").read_text()


def test_json_goes_to_the_terminal_and_nowhere_else(tmp_path: Path) -> None:
    done = iodiff("bench", "rotation-hides", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (claim,) = json.loads(done.stdout)["claims"]
    assert claim["conclusion"] == "reproduced"
    assert claim["facts"][0]["conclusion"] == "reproduced"
    assert list(tmp_path.iterdir()) == []
