# SPDX-License-Identifier: GPL-2.0-or-later
"""Each claim can be measured, on a small workload, and gives figures that fit together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.claims import Conclusion
from reference.index import BPlusTree
from suites.claims import ext2, granularity, speed
from suites.claims.catalogue import CLAIMS, report_of
from suites.claims.claim import Claim
from suites.claims.measure import DATA, Workbench
from suites.claims.replay import compare
from suites.claims.variants import RBTREE


@pytest.fixture(scope="module")
def bench() -> Workbench:
    return Workbench([DATA / "debian-5.10" / "scattered"])


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "REPETITIONS", 1)
    monkeypatch.setattr(ext2, "_FSX_OPERATIONS", 150)
    monkeypatch.setattr(ext2, "_FSX_PIECES", 1)
    monkeypatch.setattr(granularity, "_RUNS", 2)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_can_be_measured(claim: Claim, bench: Workbench) -> None:
    report = report_of(claim, bench)
    assert report.facts
    assert report.why
    assert report.tables
    for table in report.tables:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.heads)}
    for plot in report.plots:
        assert {len(series.values) for series in plot.series} == {len(plot.labels)}


def test_what_needs_another_kernel_is_never_concluded(bench: Workbench) -> None:
    (claim,) = (claim for claim in CLAIMS if claim.id == "extent-map/cpu-time")
    assert report_of(claim, bench).conclusion is Conclusion.UNTESTABLE


def test_a_tree_that_cannot_search_forward_does_not_work(bench: Workbench) -> None:
    """The reverse of what the thread says of other trees: the comparison sees it."""

    class Exact(BPlusTree):  # type: ignore[type-arg]
        def search(self, offset: int):  # type: ignore[no-untyped-def]
            return self.lookup(offset)

    (trace,) = bench.real
    assert compare(trace, RBTREE.states).wrong == []
    with pytest.raises(Exception, match="EEXIST"):
        compare(trace, replace(RBTREE, index=Exact).states)
