# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports for machines besides JSON and JUnit: KTAP, and a log as xfstests writes it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.verdicts import Verdict
from reports import Run, load_run
from reports.check_log import check_log
from reports.conftest import CASES
from reports.ktap import ktap

RESULT = re.compile(r"^( *)(ok|not ok) (\d+) ([^#]*[^# ])( # (SKIP|ERROR|XFAIL)( .*)?)?$")
"""A result line, by the grammar of Documentation/dev-tools/ktap.rst."""


@pytest.fixture
def run(sample: Path) -> Run:
    return load_run(sample)


def test_ktap_is_what_its_grammar_says(run: Run) -> None:
    lines = ktap(run).splitlines()
    assert lines[:2] == ["KTAP version 1", "1..1"]
    assert lines[2:5] == ["  KTAP version 1", "  # Subtest: host", f"  1..{len(CASES)}"]
    results = [line for line in lines[5:] if not line.strip().startswith("#")]
    assert all(RESULT.match(line) for line in results), results
    assert [line.split()[0] for line in results] == ["ok", "not", "not", "ok", "ok", "not"]
    assert "# ERROR 17 of 2,017 events were lost" in results[2]
    assert "# SKIP the kernel has no raid1c4" in results[3]
    assert "\x1b" not in ktap(run)


def test_ktap_of_a_failure_that_was_listed(run: Run) -> None:
    cases = tuple(
        replace(case, expected="a link") if case.verdict.verdict is Verdict.FAIL else case
        for case in run.cases
        if case.verdict.verdict is not Verdict.UNDECIDED
    )
    told = ktap(replace(run, cases=cases))
    assert f"not ok 2 {CASES[1]} # XFAIL a link" in told
    assert told.endswith("\nok 1 host\n")


def test_check_log_has_the_lines_that_scripts_look_for(run: Run) -> None:
    lines = check_log(run).splitlines()
    assert lines[:3] == ["SECTION       -- host", "FSTYP         -- btrfs", "PLATFORM      -- Linux 6.18.44"]
    assert f"{CASES[0]}  12s" in lines
    assert any(line.startswith(f"{CASES[3]}  [not run] the kernel has no raid1c4") for line in lines)
    assert f"Not run: {CASES[3]}" in lines
    assert f"Failures: {CASES[1]} {CASES[2]}" in lines
    assert "Failed 2 of 4 tests" in lines


def test_check_log_of_a_run_that_passed(run: Run) -> None:
    cases = tuple(case for case in run.cases if case.verdict.verdict is Verdict.PASS)
    assert "Passed all 2 tests" in check_log(replace(run, cases=cases)).splitlines()
