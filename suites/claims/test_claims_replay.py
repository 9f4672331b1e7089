# SPDX-License-Identifier: GPL-2.0-or-later
"""Every recorded bundle, repeated on the trees of 2007, ends where the kernel's own checkpoints say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from harness.bundle import Bundle
from harness.capture.records import Kind
from harness.judge.applied import Call, CallKind, applied, trees
from harness.judge.extent_state import ReplayedRecord, judge_record
from reference.extent_map import Behaviour, ExtentState
from reference.extent_state import LINUX_6_18
from reference.index import BPlusTree
from reference.machine import Finding
from suites.claims.masks import Masks
from suites.claims.replay import Comparison, Trace, compare, trace_of
from suites.claims.variants import BPLUS, RADIX, RBTREE, VARIANTS, OpaqueStates, Variant
from suites.extent_state.faults import DATA

NAMES = sorted(path.parent.relative_to(DATA).as_posix() for path in DATA.glob("**/events.npz"))
MAIN = (RADIX, RBTREE, BPLUS)


@cache
def record_of(name: str) -> ReplayedRecord:
    return judge_record(Bundle.open(DATA / name)).record


@cache
def trace(name: str) -> Trace:
    return trace_of(name, record_of(name))


@cache
def compared(name: str, variant: Variant) -> Comparison:
    return compare(trace(name), variant.states)


@pytest.mark.parametrize("name", NAMES)
def test_the_trees_of_2007_end_as_the_kernel_did(name: str) -> None:
    for variant in VARIANTS:
        found = compared(name, variant)
        assert found.wrong == [], variant.name
        assert found.checkpoints > 0, variant.name
        assert found.sets > 500, variant.name


@pytest.mark.parametrize("variant", MAIN, ids=lambda v: v.name)
def test_together_they_compare_enough(variant: Variant) -> None:
    found = [compared(name, variant) for name in NAMES]
    assert len(found) >= 36
    assert sum(trace(name).operations for name in NAMES) >= 380_000
    assert sum(c.checkpoints for c in found) >= 4_000
    assert sum(c.ranges for c in found) >= 4_500
    assert sum(c.sets for c in found) >= 90_000
    assert sum(c.refused for c in found) >= 1_200


@pytest.mark.parametrize("name", NAMES)
def test_no_operation_of_the_record_is_left_out(name: str) -> None:
    """Each changes all of its range, once; where it failed, up to there."""
    record = record_of(name)
    operations = record.operations
    covered: Counter[int] = Counter()
    for call in calls(record):
        if call.kind <= CallKind.CONVERT:
            assert Kind(operations.kind[call.operation]) == Kind(call.kind)
            covered[call.operation] += call.end - call.start + 1
    lengths = (operations.end - operations.start).tolist()
    assert covered == {operation: length + 1 for operation, length in enumerate(lengths)}


DEFECTS = ("hole_insert_overlaps", "tail_hides_hole")
"""Of those that both posted versions have; the recorded ranges, all of whole blocks, show no others."""


@pytest.mark.parametrize("variant", [RADIX, RBTREE], ids=lambda v: v.name)
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_of_the_posted_code_is_caught(variant: Variant, defect: str) -> None:
    faulty = replace(variant, behaviour=variant.behaviour.having(defect))
    assert any(is_caught(name, faulty.states) for name in NAMES)


def is_caught(name: str, new_states: Callable[[], OpaqueStates]) -> bool:
    """Whether the comparison, or a check in the model itself, notices."""
    try:
        return bool(compare(trace(name), new_states).wrong)
    except (AssertionError, Finding):
        return True


class _Nearsighted(BPlusTree[ExtentState]):
    """Finds nothing behind the leaf in which it looked."""

    def search(self, offset: int) -> ExtentState | None:
        found = super().search(offset)
        return None if found is not None and len(self) > 16 and found is self._first_of_leaf(found) else found

    def _first_of_leaf(self, entry: ExtentState) -> ExtentState | None:
        leaves = (node.items for node, height in self.nodes() if height == 1)
        return next((items[0] for items in leaves if entry in items), None)


def test_a_fault_of_an_index_is_caught() -> None:
    assert is_caught("scattered", replace(BPLUS, index=_Nearsighted).states)
    assert not is_caught("scattered", BPLUS.states)


@pytest.mark.parametrize("kind", [CallKind.SET, CallKind.CLEAR])
def test_a_step_that_is_left_out_is_caught(kind: CallKind) -> None:
    whole = trace("deleted")
    assert any(
        compare(_without(whole, tree, kind), RBTREE.states).wrong
        for tree, steps in whole.trees.items()
        if any(step.kind == kind for step in steps)
    )


def _without(whole: Trace, tree: int, kind: CallKind) -> Trace:
    steps = whole.trees[tree]
    last = max(n for n, step in enumerate(steps) if step.kind == kind)
    return replace(whole, trees={tree: steps[:last] + steps[last + 1 :]})


def calls(record: ReplayedRecord) -> list[Call]:
    return [call for tree in trees(record) for call in applied(record, tree)]


def failed(record: ReplayedRecord) -> dict[int, int]:
    return {c.operation: c.failed_start for c in calls(record) if c.failed_start is not None}


def test_a_release_is_repeated() -> None:
    kinds = Counter(call.kind for call in calls(record_of("deleted")))
    assert kinds[CallKind.RELEASE] == record_of("deleted").outcome.releases > 0


@pytest.mark.parametrize("name", NAMES)
def test_those_sets_fail_that_the_judge_found_to_have_failed(name: str) -> None:
    assert failed(record_of(name)) == record_of(name).outcome.failed_start


def test_orders_that_were_searched_for_are_the_ones_repeated() -> None:
    record = record_of("overtaken")
    assert record.reordering.orders
    in_order_of_allocation = replace(record, reordering=replace(record.reordering, orders={}))
    assert failed(in_order_of_allocation) != record.outcome.failed_start


def test_masks_keep_bits_apart() -> None:
    masks = Masks(LINUX_6_18)
    stored = {name: bit for name, bit in LINUX_6_18.names.items() if not bit & LINUX_6_18.ctlbits}
    translated = [masks.stored(bit) for bit in stored.values()]
    assert sorted(translated) == sorted(set(translated))
    assert all(bit.bit_count() == 1 for bit in translated)
    assert masks.stored(sum(stored.values())) == sum(translated)
    assert masks.cleared(LINUX_6_18.delalloc) == masks.stored(LINUX_6_18.delalloc | LINUX_6_18.noreserve)


def test_both_versions_are_what_they_are_called() -> None:
    assert RADIX.behaviour == Behaviour.corrected_radix
    assert RBTREE.behaviour == Behaviour.corrected_rbtree
