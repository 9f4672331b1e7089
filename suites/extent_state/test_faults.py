# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults put into the model are caught by judging the recorded bundles, as docs/faults.md says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reference.extent_state import LINUX_6_18, ExtentIoTree
from suites.extent_state.fault_table import FAULTS, Fault
from suites.extent_state.faults import StaleFaultError, bundles, catch, mutant, row

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "faults.md"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_fault_is_caught_as_documented(fault: Fault) -> None:
    found = catch(mutant(fault), bundles())
    assert (found is None) == bool(fault.survives), found
    assert row(fault, found) in DOCUMENT.read_text().splitlines(), (
        "run python -m suites.extent_state.faults and put its table into docs/faults.md"
    )


def test_the_model_without_a_fault_passes_where_the_faults_are_caught() -> None:
    nothing = Fault(
        "nothing", "no edit", "tree", "class ExtentIoTree(Queries):", "class ExtentIoTree(Queries):"
    )
    assert catch(mutant(nothing), bundles()) is None


def test_most_faults_are_caught_by_comparison() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(FAULTS) >= 30
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert sum("not caught" in line or "breaks down" in line for line in rows) * 5 < len(rows)


def test_a_fault_leaves_the_model_itself_alone() -> None:
    fault = next(fault for fault in FAULTS if fault.name == "lock-never-fails")
    broken, sound = mutant(fault)(LINUX_6_18), ExtentIoTree(LINUX_6_18)
    locked = LINUX_6_18.names["LOCKED"]
    for tree in (broken, sound):
        tree.set_extent_bit(0, 4095, locked)
    assert broken.set_extent_bit(0, 4095, locked) is None
    assert sound.set_extent_bit(0, 4095, locked) == 0
    # A copy, as the search for another order makes, has the fault as well.
    assert broken.copy().set_extent_bit(0, 4095, locked) is None


@pytest.mark.parametrize("old", ["no such line", "state"])
def test_a_fault_whose_line_is_not_there_once_is_stale(old: str) -> None:
    with pytest.raises(StaleFaultError, match=r"times in tree\.py"):
        mutant(replace(FAULTS[0], old=old))


def test_a_fault_in_a_module_that_is_not_made_anew_is_refused() -> None:
    with pytest.raises(StaleFaultError, match="no module bits"):
        mutant(replace(FAULTS[0], module="bits"))
