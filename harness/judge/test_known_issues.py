# SPDX-License-Identifier: GPL-2.0-or-later
"""A known issue is let pass where the record proves it, and a fault wherever it does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.bundle import Bundle, BundleWriter
from harness.capture.records import RECORD, Kind, to_table
from harness.judge.known_issues import known_issue
from harness.judge.verdict import judge_bundle
from harness.verdicts import Verdict
from reference.extent_state import U64_MAX

OVERTAKEN = "a truncate overtakes a direct write"
WARNING = (
    "[  104.79] WARNING: CPU: 1 PID: 374 at fs/btrfs/extent_map.c:306 unpin_extent_cache+0x43/0xd0 [btrfs]"
)
LOCKED, DELALLOC, INODES = 4, 16, 3
WRITER, TRUNCATING, FINISHING = 422, 425, 374
FIRST, LAST = 0x380000, 0x383FFF

Lock = tuple[int, int, int]
"""PID, first byte, last byte."""
WRITE: Lock = (WRITER, FIRST, LAST)
REFUSED: Lock = (TRUNCATING, 0x239000, U64_MAX)
TRUNCATE: Lock = (TRUNCATING, FIRST, U64_MAX)
FINISH: Lock = (FINISHING, FIRST, LAST)


def bundle_of(
    folder: Path, locks: Sequence[Lock], *, log: Sequence[str] = (), setting: int = LOCKED, **capture: Any
) -> Bundle:
    """Return a bundle of a 5.10 kernel that took `locks`, and warned."""
    records = np.zeros(len(locks), RECORD)
    for row, (pid, start, last) in zip(records, locks, strict=True):
        row["kind"], row["owner"], row["ptr"], row["bits"] = Kind.SET, INODES, 0x1000, setting
        row["pid"], row["start"], row["len"] = pid, start, last - start + 1
    facts = {
        "method": "bpf",
        "events": len(locks),
        "lost": 0,
        "lost_reasons": {},
        "bits": {"EXTENT_LOCKED": LOCKED, "EXTENT_DELALLOC": DELALLOC},
        "owners": {"IO_TREE_INODE_IO": INODES},
        "features": ["symbol:free_extent_state"],
        **capture,
    }
    writer = BundleWriter(folder)
    writer.add_table("events.npz", to_table(records, 0))
    writer.add_text("dmesg.txt", "".join(line + "\n" for line in log))
    writer.add_json("devices.json", {})
    return writer.finish(
        {
            "capture": facts,
            "case": {"id": "extent_state/contention", "suite": "extent_state"},
            "seed": 7,
            "kernel": {"source": "debian:5.10"},
            "devices": {},
            "error": None,
            "data_mismatch": None,
            "data_verifications": 0,
            "dmesg_overrun": 0,
        }
    )


def test_the_race_that_was_seen(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "b", [WRITE, REFUSED, TRUNCATE, FINISH])
    assert known_issue(WARNING, bundle) == OVERTAKEN


@pytest.mark.parametrize(
    "locks",
    [
        pytest.param([WRITE, FINISH], id="no truncate"),
        pytest.param([TRUNCATE, WRITE, FINISH], id="truncate before the write"),
        pytest.param([WRITE, FINISH, TRUNCATE], id="truncate after it"),
        pytest.param([REFUSED, TRUNCATE, FINISH], id="no write"),
        pytest.param([WRITE, (TRUNCATING, FIRST, LAST + 4096), FINISH], id="not to the end of the file"),
        pytest.param([WRITE, (TRUNCATING, LAST + 1, U64_MAX), FINISH], id="behind the range"),
        pytest.param([WRITE, TRUNCATE, (FINISHING, FIRST, LAST - 4096)], id="another range"),
        pytest.param([WRITE, TRUNCATE, (WRITER, FIRST, LAST)], id="another task warned"),
        pytest.param([WRITE, TRUNCATE, (7, 0x230000, U64_MAX), FINISH], id="two truncates"),
        pytest.param([(TRUNCATING, FIRST, LAST), TRUNCATE, FINISH], id="who truncates wrote"),
    ],
)
def test_another_order_of_locks_is_no_proof(tmp_path: Path, locks: list[Lock]) -> None:
    assert known_issue(WARNING, bundle_of(tmp_path / "b", locks)) is None


def test_other_operations_are_no_locks(tmp_path: Path) -> None:
    assert (
        known_issue(WARNING, bundle_of(tmp_path / "b", [WRITE, TRUNCATE, FINISH], setting=DELALLOC)) is None
    )


@pytest.mark.parametrize(
    "capture",
    [
        pytest.param({"bits": {"EXTENT_LOCKED": LOCKED, "EXTENT_ADD_INODE_BYTES": 1 << 15}}, id="5.11"),
        pytest.param({"features": ["symbol:free_extent_state", "symbol:lock_extent"]}, id="6.1"),
        pytest.param({"features": []}, id="unknown"),
        pytest.param({"lost": 1, "lost_reasons": {"lost_ring": 1}}, id="events lost"),
    ],
)
def test_only_where_the_kernel_has_it_and_the_record_is_whole(
    tmp_path: Path, capture: dict[str, Any]
) -> None:
    bundle = bundle_of(tmp_path / "b", [WRITE, TRUNCATE, FINISH], **capture)
    assert known_issue(WARNING, bundle) is None


@pytest.mark.parametrize(
    "line",
    [
        WARNING.replace("unpin_extent_cache", "btrfs_free_extent_map"),
        WARNING.replace("WARNING: CPU: 1 PID: 374 at", "kernel BUG at"),
        "[  104.791056] BUG: kernel NULL pointer dereference, address: 0000000000000020",
    ],
)
def test_another_line_is_another_fault(tmp_path: Path, line: str) -> None:
    assert known_issue(line, bundle_of(tmp_path / "b", [WRITE, TRUNCATE, FINISH])) is None


def test_a_verdict_counts_what_it_lets_pass_and_fails_for_the_rest(tmp_path: Path) -> None:
    locks = [WRITE, TRUNCATE, FINISH]
    known = judge_bundle(bundle_of(tmp_path / "known", locks, log=[WARNING]))
    (log,) = (check for check in known.checks if check.name == "kernel log")
    assert (log.verdict, log.compared, log.wrong) == (Verdict.PASS, 1, 0)
    assert known.counts[f"known issue: {OVERTAKEN}"] == 1
    other = WARNING.replace("374", "373")
    both = judge_bundle(bundle_of(tmp_path / "both", locks, log=[WARNING, other]))
    (log,) = (check for check in both.checks if check.name == "kernel log")
    assert (log.verdict, log.wrong) == (Verdict.FAIL, 1)
    assert log.first_difference is not None
    assert log.first_difference.kernel == (other,)
