# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults put into the readahead engine are caught, as docs/readahead-faults.md says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.judge.readahead_replay import Engine, Replay
from suites.readahead.fault import Fault
from suites.readahead.fault_table import FAULTS
from suites.readahead.faults import (
    BUDGET,
    EndlessError,
    Mutant,
    Record,
    StaleFaultError,
    catch,
    mutant,
    records,
    row,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "readahead-faults.md"
NOTHING = Fault("nothing", "no edit", "machine", "def reada_pick_zone(", "def reada_pick_zone(")


def rows() -> list[str]:
    """Return the rows of the table."""
    return [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")][1:]


def named(documented: str) -> Sequence[Record]:
    """Return the record in which a row says that the fault was caught; all if it names none.

    One record is enough to hold "caught" to the truth. A property is said to be needed of all.
    """
    by = documented.split(" | ")[2]
    return [record for record in records() if by.endswith(f" in {record.name}")] or records()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_fault_is_caught_as_documented(fault: Fault) -> None:
    documented = [line for line in rows() if line.startswith(f"| {fault.name} |")]
    found = catch(mutant(fault), named(documented[0]) if documented else records())
    assert found is not None
    assert documented == [row(fault, found)], (
        "run python -m suites.readahead.faults and put its table into docs/readahead-faults.md"
    )


def test_the_engine_without_a_fault_is_clean() -> None:
    assert catch(mutant(NOTHING), records()) is None
    for record in records():
        replay = Replay(record.events, record.requests, record.excerpt, Engine())
        replay.delays = record.delays
        replay.run()


def test_there_are_faults_enough_and_each_has_one_name_and_one_row() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) == len(rows()) >= 30


def test_a_fault_leaves_the_engine_itself_alone() -> None:
    broken = mutant(FAULTS[0])
    assert isinstance(broken, Mutant)
    assert broken.functions.worker is not Engine().worker


def test_an_edit_that_is_not_there_is_stale() -> None:
    with pytest.raises(StaleFaultError, match=r"is 0 times in machine\.py"):
        mutant(Fault("stale", "", "machine", "no such line", ""))


def test_an_engine_that_never_ends_is_stopped() -> None:
    fault = Fault(
        "endless",
        "the loop over the zones stays where it is",
        "machine",
        "zone = dev.reada_zones.gang_lookup((zone.end >> PAGE_SHIFT) + 1)",
        "zone = dev.reada_zones.gang_lookup(zone.end >> PAGE_SHIFT)",
    )
    broken = mutant(fault)
    BUDGET.left = 1000
    record = records()[0]
    with pytest.raises(EndlessError):
        Replay(record.events, record.requests, record.excerpt, broken.functions).run()
