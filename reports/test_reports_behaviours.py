# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of how kernels behave: its rows, what tells, and that it is in every report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import UserError
from harness.verdicts import Evidence
from reports import load_run, print_summary, write_all
from reports.behaviours import Side, behaviours
from reports.conftest import HOSTILE, kernel, write_run
from reports.test_reports_kernels import RELEASES, A, B, C, guest, one

LIMIT = Evidence("read_limit", 256, "Blocks that one mapping has. 256 since 6.0.", 600, 200, 0)
REPAIRS = Evidence("repairs_all", True, "All copies are written anew (btrfs_end_repair_bio).", 600, 0, 0)
SHARED = Evidence("stripe_cut", True, "Bios end with a stripe.", 600, 41, 0)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Two kernels that differ in one of three behaviours, and one of which nothing is known."""
    for case in (A, B):
        one(tmp_path, "host", case, evidence=(LIMIT, REPAIRS, SHARED))
    one(tmp_path, "debian:5.10", A, evidence=(replace(LIMIT, value=1, decided=12, against=3), SHARED))
    one(tmp_path, "debian:6.12", C)
    kernels = [
        kernel("host", (A, B), release=RELEASES["host"]),
        guest("debian:5.10", (A,)),
        guest("debian:6.12", (C,)),
    ]
    return write_run(tmp_path, (A, B, C), kernels=kernels)


def test_cases_of_a_kernel_are_added_up(run_folder: Path) -> None:
    found = behaviours(load_run(run_folder))
    assert [one.label for one in found.kernels] == ["host", "debian-5.10"]
    assert [row.field for row in found.differing] == ["read_limit"]
    assert [row.field for row in found.shared] == ["repairs_all", "stripe_cut"]
    assert found.differing[0].sides == (Side((256,), 1200, 400, 0), Side((1,), 600, 12, 3))
    assert found.shared[0].sides == (Side((True,), 1200, 0, 0), None)
    assert [row.known for row in found.rows] == [True, False, True]


def test_each_report_has_it(run_folder: Path) -> None:
    written = {path.name: path.read_text() for path in write_all(load_run(run_folder), run_folder)}
    table = "| `read_limit`: Blocks that one mapping has. 256 since 6.0. | 256 (400 of 1,200) "
    assert table + "| 1 (12 of 600, **3 against**) |" in written["report.md"]
    assert "The same on all of them: `repairs_all`, `stripe_cut`." in written["report.md"]
    page = written["report.html"]
    assert "12 of 600 decide it, 3 speak against it" in page
    assert "none of 1,200 tells" in page
    assert page.index("read_limit") < page.index("2 behaviours that these kernels share")
    told = json.loads(written["summary.json"])["behaviours"]
    assert [(row["field"], row["differs"]) for row in told] == [
        ("read_limit", True),
        ("repairs_all", False),
        ("stripe_cut", False),
    ]
    side = {"values": [1], "looked_at": 600, "decided": 12, "against": 3}
    assert told[0]["kernels"]["debian-5.10"] == side


def test_the_terminal_shows_what_differs(run_folder: Path) -> None:
    console = Console(width=80, record=True, force_terminal=False)
    print_summary(load_run(run_folder), console)
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["read_limit", "256", "(400)", "1", "(12)", "3", "against"] in lines
    assert not any("stripe_cut" in line for line in lines)


def test_one_kernel_has_all_rows_in_one_table(tmp_path: Path) -> None:
    one(tmp_path, "host", A, evidence=(LIMIT, REPAIRS))
    write_run(tmp_path, (A,), kernels=[kernel("host", (A,), release=RELEASES["host"])])
    written = {path.name: path.read_text() for path in write_all(load_run(tmp_path), tmp_path)}
    assert "How this kernel reads directly" in written["report.html"]
    assert "that these kernels share" not in written["report.html"]
    assert "| yes (0 of 600) |" in written["report.md"]


def test_without_evidence_there_is_no_table(sample: Path) -> None:
    written = {path.name: path.read_text() for path in write_all(load_run(sample), sample)}
    assert 'id="behaviours"' not in written["report.html"]
    assert "Direct reads" not in written["report.md"]
    assert json.loads(written["summary.json"])["behaviours"] == []


def test_hostile_evidence_is_shown_not_obeyed(tmp_path: Path) -> None:
    one(tmp_path, "host", A, evidence=(Evidence(HOSTILE, HOSTILE, HOSTILE, 1, 1, 0),))
    run = load_run(write_run(tmp_path, (A,), kernels=[kernel("host", (A,), release=RELEASES["host"])]))
    written = {path.name: path.read_text() for path in write_all(run, tmp_path)}
    assert "<script>alert" not in written["report.html"]
    (line,) = [line for line in written["report.md"].splitlines() if line.endswith("(1 of 1) |")]
    assert line.count("|") - line.count("\\|") == 3


@pytest.mark.parametrize("spoilt", [{"decided": "x"}, {"said": 5}, {"unheard_of": 1}])
def test_evidence_that_makes_no_sense_is_refused(run_folder: Path, spoilt: dict[str, object]) -> None:
    file = next(run_folder.rglob("verdict.json"))
    told = json.loads(file.read_text())
    told["evidence"] = [{"field": "a", "value": 1, "said": "", "looked_at": 1, "decided": 1, "against": 0}]
    told["evidence"][0] |= spoilt
    file.write_text(json.dumps(told))
    with pytest.raises(UserError, match="not a verdict"):
        load_run(run_folder)
