# SPDX-License-Identifier: GPL-2.0-or-later
"""Which events are ours, and which operation each belongs to."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from harness.capture.program import SOURCE
from harness.capture.records import EVENT_BYTES, NONE, RECORD, Kind, foreign_frees, latest_operation, to_table
from harness.capture.walk import BATCH

SET, CLEAR, CONVERT, ALLOC, FREE = Kind


def foreign(*events: tuple[Kind, int]) -> list[int]:
    """Return the positions of the frees that are taken for somebody else's."""
    kind = np.array([k for k, _ in events], np.uint8)
    ptr = np.array([p for _, p in events], np.uint64)
    return np.flatnonzero(foreign_frees(kind, ptr)).tolist()


def test_a_free_behind_its_allocation_is_ours() -> None:
    assert foreign((ALLOC, 1), (FREE, 1)) == []


def test_a_free_without_allocation_is_foreign() -> None:
    assert foreign((FREE, 1), (ALLOC, 2), (FREE, 2), (FREE, 3)) == [0, 3]


def test_a_free_before_the_allocation_is_foreign() -> None:
    assert foreign((FREE, 1), (ALLOC, 1), (FREE, 1)) == [0]


def test_an_address_that_is_used_again() -> None:
    # Ours, then theirs (whose allocation is not recorded), then ours again.
    assert foreign((ALLOC, 1), (FREE, 1), (FREE, 1), (ALLOC, 1), (FREE, 1)) == [2]


def test_trees_at_the_address_of_a_state_do_not_count() -> None:
    assert foreign((SET, 1), (FREE, 1), (ALLOC, 1), (CLEAR, 1), (FREE, 1)) == [1]
    assert foreign((CONVERT, 1), (SET, 1)) == []


def test_addresses_next_to_each_other_are_told_apart() -> None:
    high = 2**64 - 1
    assert foreign((ALLOC, high), (FREE, high - 1), (FREE, high), (ALLOC, high - 1)) == [1]


def test_no_events() -> None:
    assert foreign() == []
    latest, until = latest_operation(np.zeros(0, np.uint32), np.zeros(0, bool))
    assert (latest.tolist(), until.tolist()) == ([], [])


def test_the_table_has_every_column_and_times_since_the_beginning() -> None:
    records = np.zeros(2, RECORD)
    records["kind"] = [SET, FREE]
    records["ptr"] = [2**64 - 4096, 7]
    records["time_ns"] = [100, 2**40]
    records["len"][0] = 2**64 - 1
    records["cpu"][0], records["pid"][0], records["owner"][0] = 65535, 2**32 - 1, 10
    table = to_table(records, begin_ns=100)
    assert table["kind"].tolist() == [SET, FREE]
    assert table["time_ns"].tolist() == [0, 2**40 - 100]
    assert records["time_ns"].tolist() == [100, 2**40]
    first = {name: column[0].item() for name, column in table.items()}
    assert (first["ptr"], first["len"]) == (2**64 - 4096, 2**64 - 1)
    assert (first["cpu"], first["pid"], first["owner"]) == (65535, 2**32 - 1, 10)
    assert set(table) == set(RECORD.names or ()) - {"header"}


def test_an_empty_table() -> None:
    table = to_table(np.zeros(0, RECORD), begin_ns=5)
    assert {len(column) for column in table.values()} == {0}


def test_a_record_is_as_long_as_the_program_writes_it() -> None:
    assert EVENT_BYTES == 64
    assert [np.dtype(RECORD[name]).alignment for name in ("time_ns", "bits", "cpu")] == [8, 4, 2]


def attributed(pids: list[int], entries: list[int]) -> tuple[list[int], list[int]]:
    is_entry = np.zeros(len(pids), bool)
    is_entry[entries] = True
    latest, until = latest_operation(np.array(pids, np.uint32), is_entry)
    return latest.tolist(), until.tolist()


def test_batches_are_as_long_as_the_program_reads_them() -> None:
    define = re.search(r"^#define BATCH (\d+)", SOURCE.read_text(), re.MULTILINE)
    assert define is not None
    assert int(define[1]) == BATCH


def test_events_belong_to_the_operation_that_their_task_entered_last() -> None:
    #          0  1  2  3  4  5  6
    pids = [5, 5, 9, 5, 9, 9, 5]
    assert attributed(pids, [0, 2, 3]) == ([0, 0, 1, 2, 1, 1, 2], [3, 7, 7])


def test_events_before_the_first_operation_of_their_task_belong_to_none() -> None:
    assert attributed([5, 9, 9, 5, 9], [1, 4]) == ([NONE, 0, 0, NONE, 1], [4, 5])


def test_neighbouring_tasks_do_not_share_operations() -> None:
    # Sorted by task, the operation of 0 stands right before the events of 1 that have none.
    assert attributed([0, 1, 2**32 - 1, 1], [0]) == ([0, NONE, NONE, NONE], [4])


def test_no_operation_at_all() -> None:
    assert attributed([1, 2, 1], []) == ([NONE] * 3, [])


@pytest.mark.parametrize("seed", range(10))
def test_attribution_against_a_dictionary(seed: int) -> None:
    rng = random.Random(seed)
    pids = [rng.choice([0, 1, 7, 2**31, 2**32 - 1]) for _ in range(rng.randrange(60))]
    entries = sorted(rng.sample(range(len(pids)), rng.randint(0, len(pids))))
    current: dict[int, int] = {}
    latest, until = [], [len(pids)] * len(entries)
    for event, pid in enumerate(pids):
        if event in entries:
            if pid in current:
                until[current[pid]] = event
            current[pid] = entries.index(event)
        latest.append(current.get(pid, NONE))
    assert attributed(pids, entries) == (latest, until)
