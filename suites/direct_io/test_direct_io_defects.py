# SPDX-License-Identifier: GPL-2.0-or-later
"""What is written down about defects and faults is true."""

from __future__ import annotations

import pytest

from benchmarks import direct_io_cost
from reference.direct_io.rfc_2010 import DEFECTS, Behaviour
from reference.direct_io.run import judge
from suites.direct_io import defects, fault_table
from suites.direct_io.fault import Fault, StaleFaultError, broken

CAUGHT = defects.recorded()
KILLED = fault_table.recorded()


def test_every_defect_is_caught() -> None:
    assert [caught.defect for caught in CAUGHT] == list(DEFECTS)


@pytest.mark.parametrize("caught", CAUGHT, ids=lambda caught: caught.defect.name)
def test_its_case_shows_a_defect_and_nothing_without_it(caught: defects.Caught) -> None:
    without = Behaviour.corrected.having(*defects.NEEDS.get(caught.defect.name, ()))
    assert judge(caught.case, without) == ""
    assert judge(caught.case, without.having(caught.defect.name)) == caught.complaint


def test_the_page_of_defects_is_what_was_found() -> None:
    assert defects.DOCUMENT.read_text() == defects.document(CAUGHT)


def test_every_fault_is_caught() -> None:
    assert [killed.fault for killed in KILLED] == list(fault_table.ALL_FAULTS)
    assert len({fault.name for fault in fault_table.ALL_FAULTS}) == len(KILLED) >= 60


@pytest.mark.parametrize("killed", KILLED, ids=lambda killed: killed.fault.name)
def test_its_case_brings_a_fault_to_light(killed: fault_table.Killed) -> None:
    assert fault_table.judge_whole(killed.case, killed.fault) == ""
    assert fault_table.judge_broken(killed.case, killed.fault) == killed.complaint


def test_the_page_of_faults_is_what_was_found() -> None:
    assert fault_table.DOCUMENT.read_text() == fault_table.document(KILLED)


def test_a_fault_that_does_not_fit_any_more_is_refused() -> None:
    stale = Fault("stale", "none", "rfc_2010.control", "no such line", "")
    with pytest.raises(StaleFaultError, match="0 times"), broken(stale):
        pass


def test_the_table_of_costs_is_what_the_models_say() -> None:
    assert direct_io_cost.table() in (defects.ROOT / "docs/direct-io.md").read_text()
