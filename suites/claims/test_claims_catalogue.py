# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue is whole, its quotations stand nowhere else, and what is measured is measured right."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.claims import Conclusion
from harness.errors import UserError
from harness.judge.applied import CallKind
from reference.extent_map import EXTENT_DIRTY, EXTENT_LOCKED
from reference.extent_state import LINUX_6_18
from reference.index import Work
from reference.index.radix_nodes import RADIX_TREE_NODE_BYTES
from suites.claims.catalogue import CLAIMS, chosen, report_of
from suites.claims.claim import Claim, Found
from suites.claims.cost import CORNERS, Costs
from suites.claims.lockless import RBTREE_RCU
from suites.claims.masks import Masks
from suites.claims.measure import DATA, Workbench, measured
from suites.claims.replay import Step, Trace
from suites.claims.rules import happens
from suites.claims.synthetic import PAGE_SIZE, PAGES
from suites.claims.variants import BPLUS, RADIX, RBTREE, Variant
from suites.meta import tree

by_claim = pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)


def test_names_are_different_with_and_without_what_stands_before_the_slash() -> None:
    assert (
        len({claim.id for claim in CLAIMS}) == len({c.id.split("/")[1] for c in CLAIMS}) == len(CLAIMS) >= 12
    )


@by_claim
def test_a_claim_is_whole(claim: Claim) -> None:
    assert re.fullmatch(r"[a-z-]+/[a-z0-9-]+", claim.id)
    assert re.fullmatch(r"2007-\d\d-\d\d|2010-01-19|2011", claim.date)
    assert re.search(r", line \d+$", claim.source)
    for words in (claim.takes, claim.method, claim.real, claim.simulated, claim.rule, claim.author):
        assert words == words.strip() != ""
    assert all(name and value for name, value in claim.constants)


@by_claim
def test_a_quotation_is_short_and_one_line(claim: Claim) -> None:
    words = claim.quotation
    assert words == " ".join(words.split())
    assert 15 < len(words) < 160
    assert not re.match(r"[>\"'“]", words)


@by_claim
def test_a_quotation_stands_nowhere_else(claim: Claim) -> None:
    own = Path("suites/claims")
    holders = [
        str(path)
        for path in tree.files(tree.ROOT)
        if own not in Path(path).parents and claim.quotation in " ".join(tree.read(tree.ROOT / path).split())
    ]
    assert holders == []


def test_claims_are_chosen_by_either_name() -> None:
    assert chosen(["less-ram", "extent-map/less-ram"]) == [chosen(["less-ram"])[0]] * 2
    with pytest.raises(UserError, match=r"no claim is called 'les-ram': did you mean .*less-ram\?"):
        chosen(["les-ram"])


def one(*steps: Step) -> Trace:
    return Trace("made up", {0: list(steps)}, [], Masks(LINUX_6_18))


def a_set(page: int, bits: int = EXTENT_DIRTY, *, exclusive: bool = False) -> Step:
    return Step(CallKind.SET, page * PAGE_SIZE, (page + 1) * PAGE_SIZE - 1, bits, exclusive)


def test_memory_is_that_of_states_nodes_and_root() -> None:
    trace = one(a_set(0))
    assert measured(trace, RBTREE).peak_bytes == 64 + 24 + 8
    assert measured(trace, RADIX).peak_bytes == 56 + 2 * RADIX_TREE_NODE_BYTES + 16
    assert measured(trace, BPLUS).peak_bytes == 64 + 256 + 48


def test_operations_and_those_of_merging_are_counted() -> None:
    """In the second version: search, insert; then search, insert, and prev, next and an erasure to merge."""
    found = measured(one(a_set(0), a_set(1)), RBTREE)
    assert dict(found.all) == {"search": 2, "insert": 2, "prev": 2, "next": 2, "erase": 1}
    assert dict(found.merging) == {"prev": 2, "next": 2, "erase": 1}
    assert (found.calls, found.changes, found.states_allocated) == (2, 3, 2)


def test_locked_states_are_not_merged_and_cost_no_merging() -> None:
    found = measured(one(a_set(0, EXTENT_LOCKED), a_set(1, EXTENT_LOCKED)), RBTREE)
    assert found.merging.total() == 0
    assert found.peak_states == 2


@pytest.mark.parametrize("variant", [RADIX, RBTREE, BPLUS], ids=lambda v: v.name)
def test_all_variants_change_their_index_as_often(variant: Variant) -> None:
    bench = Workbench([DATA / "scattered"])
    assert bench.each(variant)[0].changes == bench.each(RBTREE)[0].changes > 1_000
    assert bench.each_control(variant)[0].changes == bench.each_control(RBTREE)[0].changes > PAGES


def test_costs_add_up() -> None:
    found = measured(one(a_set(0), a_set(1)), RADIX)
    nothing = Costs(0, 0, 0, 0, 0)
    assert nothing.cycles(found.work, 10) == 0
    assert Costs(0, 0, 3, 0, 0).cycles(found.work, 10) == 30
    assert Costs(2, 0, 0, 0, 0).cycles(found.work, 10) == 2 * found.work.node_visits > 0
    assert Costs(2, 0, 0, 0, 5).cycles(Work(rotations=1), 0) == 10
    assert Costs(0, 7, 0, 0, 0).cycles(found.work, 10) == 7 * found.work.allocations > 0
    assert len(set(CORNERS)) == 8


def test_a_bundle_that_does_not_pass_is_no_workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Workbench([DATA / "overtaken"])
    assert len(bench.real) == 1
    monkeypatch.setattr("suites.claims.measure.worst", lambda _: "FAIL")
    with pytest.raises(UserError, match="overtaken: no workload, as it does not pass"):
        _ = Workbench([DATA / "overtaken"]).real
    with pytest.raises(UserError, match="no complete bundle there"):
        Workbench([tmp_path])


def test_the_conclusion_is_the_rules() -> None:
    def measure(_: Workbench) -> Found:
        return Found((happens("something", 10, happened),))

    claim = replace(RBTREE_RCU, measure=measure)
    bench = Workbench([DATA / "scattered"])
    happened = 1
    assert report_of(claim, bench).conclusion is Conclusion.REPRODUCED
    happened = 0
    report = report_of(claim, bench)
    assert report.conclusion is Conclusion.NOT
    assert report.why == "something: 0 of 10"
