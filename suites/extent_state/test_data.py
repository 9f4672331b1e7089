# SPDX-License-Identifier: GPL-2.0-or-later
"""The recorded bundles open, are small, and pass; nobody needs root or a kernel of their own for that."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.bundle import Bundle
from harness.capture.records import Kind
from harness.errors import UserError
from harness.judge.extent_state import behaviour_of, judge_record
from harness.judge.verdict import judge_bundle
from harness.verdicts import Verdict
from reference.extent_state import BitLayout
from reference.extent_state.testing import BEHAVIOURS
from suites.extent_state.faults import CONTENDED, DATA, HOST, bundles, kernels
from suites.extent_state.recorded import CASES

NAMES = sorted(case.id.removeprefix("extent_state/data-") for case in CASES)
GUESTS = sorted(path.parent.relative_to(DATA).as_posix() for path in DATA.glob("*/*/bundle.json"))
MOST_BYTES = 500_000
MOST_BYTES_OF_GUESTS = 4_000_000

by_name = pytest.mark.parametrize("name", NAMES)


def test_every_recorded_case_has_its_bundle_and_no_other_is_there() -> None:
    assert sorted(bundle.path.name for bundle in bundles()) == NAMES
    assert {bundle.manifest["case"]["id"] for bundle in bundles()} == {case.id for case in CASES}


@pytest.mark.parametrize("name", CONTENDED)
def test_operations_that_contended_for_the_lock_are_put_in_order(name: str) -> None:
    """Judged in the order of the allocations alone, these would be false FAILs."""
    bundle = Bundle.open(DATA / name)
    found = judge_record(bundle)
    assert {check.verdict for check in found.checks} == {Verdict.PASS}
    assert found.record.reordering.resolved
    alone = judge_record(bundle, search=False)
    assert Verdict.FAIL in {check.verdict for check in alone.checks}


def size(bundle: Path) -> int:
    return sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", sorted({*NAMES, *CONTENDED, *GUESTS}))
def test_the_bundle_is_small(name: str) -> None:
    assert size(DATA / name) < MOST_BYTES


def test_those_of_guests_are_small_together() -> None:
    assert sum(size(DATA / name) for name in GUESTS) < MOST_BYTES_OF_GUESTS


def compared_in(name: str) -> dict[str, int]:
    """Judge a bundle that has to pass on all that it recorded; return how much each check compared."""
    bundle = Bundle.open(DATA / name)
    verdict = judge_bundle(bundle)
    compared = {check.name: check.compared for check in verdict.checks}
    kinds = np.bincount(bundle.table("events.npz")["kind"], minlength=max(Kind) + 1)
    assert verdict.verdict == Verdict.PASS
    assert compared["events recorded"] == bundle.manifest["capture"]["events"] == kinds.sum()
    assert compared["operations"] == kinds[Kind.SET] + kinds[Kind.CLEAR] + kinds[Kind.CONVERT]
    assert compared["states"] == kinds[Kind.ALLOC]
    assert compared["checkpoints"] >= sum(entry["live_states"] for entry in bundle.json("checkpoints.json"))
    return compared


@by_name
def test_the_bundle_passes_on_all_its_evidence(name: str) -> None:
    compared = compared_in(name)
    assert compared["events recorded"] > 10_000
    assert compared["operations"] > 5_000
    assert compared["states"] > 5_000
    assert compared["locks"] > 1_000


@pytest.mark.parametrize("name", GUESTS)
def test_the_bundle_of_a_guest_passes_on_all_its_evidence(name: str) -> None:
    compared = compared_in(name)
    assert compared["events recorded"] > 10_000
    assert compared["operations"] > 3_000
    assert compared["states"] > 3_000
    assert compared["locks"] > 500


@pytest.mark.parametrize("kernel", kernels())
def test_a_folder_holds_what_one_kernel_recorded(kernel: str) -> None:
    recorded = {bundle.manifest["kernel"]["source"].replace(":", "-") for bundle in bundles(kernel)}
    assert recorded == ({kernel} if kernel != HOST else {"host"})


def test_every_behaviour_that_the_model_knows_was_recorded() -> None:
    recorded = {behaviour_of(bundles(kernel)[0].manifest["capture"]) for kernel in kernels()}
    assert recorded == set(BEHAVIOURS)


def test_together_they_hold_what_the_tree_has_rules_for() -> None:
    clear_and_convert: set[str] = set()
    stored: set[str] = set()
    for bundle in bundles():
        bits = BitLayout.from_names(bundle.manifest["capture"]["bits"])
        events = bundle.table("events.npz")
        for kind, into in (
            (Kind.SET, stored),
            (Kind.CLEAR, clear_and_convert),
            (Kind.CONVERT, clear_and_convert),
        ):
            for value in np.unique(events["bits"][events["kind"] == kind]).tolist():
                into.update(bits.describe(value).split("|"))
    assert stored >= {
        "LOCKED", "DIO_LOCKED", "FINISHING_ORDERED", "DELALLOC", "DELALLOC_NEW", "NORESERVE", "DEFRAG",
        "BOUNDARY", "NODATASUM", "QGROUP_RESERVED", "DIRTY", "DIRTY_LOG1", "DIRTY_LOG2",
    }  # fmt: skip
    assert clear_and_convert >= {
        "CLEAR_META_RESV", "CLEAR_DATA_RESV", "ADD_INODE_BYTES", "CLEAR_ALL_BITS", "NEED_WAIT",
    }  # fmt: skip


def test_together_they_hold_failed_locks_releases_interruptions_and_large_trees() -> None:
    records = [judge_record(bundle).record for bundle in bundles()]
    failed = [
        (int(record.operations.bits[operation]), start > record.operations.start[operation], record.bits)
        for record in records
        for operation, start in record.outcome.failed_start.items()
    ]
    assert len(failed) >= 50
    assert any(behind for _, behind, _ in failed)
    assert any(value == bits.names["DIO_LOCKED"] for value, _, bits in failed)
    assert sum(record.outcome.releases for record in records) > 0
    assert any(record.steps.several for record in records)
    assert any(record.steps.parts.any() for record in records)
    assert max(c.live_states for record in records for c in record.checkpoints) >= 300
    assert max(int(bundle.manifest["devices"]["count"]) for bundle in bundles()) >= 4


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "deleted", tmp_path / "deleted"))


def test_a_tampered_copy_is_refused(copy: Path) -> None:
    file = copy / "events.npz"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"events\.npz: changed after it was recorded"):
        Bundle.open(copy)


def test_a_truncated_copy_is_refused(copy: Path) -> None:
    file = copy / "events.npz"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="the bundle is damaged"):
        Bundle.open(copy)


def test_a_copy_without_its_manifest_is_refused(copy: Path) -> None:
    (copy / "bundle.json").unlink()
    with pytest.raises(UserError, match="not a complete bundle"):
        Bundle.open(copy)
