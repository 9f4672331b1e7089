# SPDX-License-Identifier: GPL-2.0-or-later
"""The objections of Trond Myklebust and Peter Zijlstra: lookups without a lock, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from harness.claims import Conclusion, Fact, Plot, Series, Table
from reference.index import BPlusTree, ExtentIndex, RadixTree, RbTree
from reference.index.lockless import Change, Trial, trials
from reference.rbtree import Extent
from suites.claims.claim import THREAD, Claim, Found
from suites.claims.measure import Measured, Workbench
from suites.claims.memory import SIZES
from suites.claims.operations import REPLAYED, SIMULATED
from suites.claims.present import Of, by_workload, ratios, totals
from suites.claims.rules import by_ratios, happens, holds
from suites.claims.variants import BPLUS, RADIX, RBTREE

__all__ = ["BENEFITS", "BPLUS_RCU", "RBTREE_RCU", "ROTATION"]

_ENTRIES = 40
_STEP = 10
_ENDS = tuple(range(_STEP, (_ENTRIES + 1) * _STEP, _STEP))
_TREES: dict[str, type[ExtentIndex[Extent]]] = {
    "rbtree": RbTree,
    "radix tree": RadixTree,
    "B+tree": BPlusTree,
}
_METHOD = (
    f"{_ENTRIES} entries; each lookup of one that is there stops before each node it reads, and at each "
    "stop each "
    "insertion between two entries and each deletion of another happens, whole; does it find its entry?"
)
_SIMULATED = (
    "Everything: models of the three trees. A change is one step; a reader between the stores of one change, "
    "memory barriers and reclaiming are not tried, so that no loss is no proof."
)
_CONSTANTS = (("entries", str(_ENTRIES)),)


@cache
def _tried(name: str) -> tuple[Trial, ...]:
    changes = [Change("insert", end + _STEP // 2) for end in (0, *_ENDS)]
    changes += [Change("delete", end) for end in _ENDS]
    return tuple(trials(_TREES[name], _ENDS, changes))


@cache
def _shrinking(name: str) -> tuple[Trial, ...]:
    """Few entries, far apart: trees that lose levels."""
    ends = (0, 10, 5_000)
    return tuple(trials(_TREES[name], ends, [Change("delete", end) for end in ends]))


def _missed(tried: Sequence[Trial]) -> int:
    return sum(not trial.found for trial in tried)


def _table() -> Table:
    rows = []
    for name in _TREES:
        for what, tried in ((f"{_ENTRIES} entries", _tried(name)), ("shrinking", _shrinking(name))):
            rows.append((name, what, len(tried), _missed(tried)))
    heads = ("tree", "configuration", "lookups tried", "entries not found")
    return Table("Lookups without a lock while one change happens", heads, tuple(rows))


def _plot() -> Plot:
    values = tuple(100 * _missed(_tried(name)) / len(_tried(name)) for name in _TREES)
    series = (Series("not found", values),)
    return Plot(
        "Lookups that miss an entry which is there", "bars", tuple(_TREES), series, "percent of lookups"
    )


def _rbtree(_: Workbench) -> Found:
    tried = _tried("rbtree")
    return Found(
        (happens("lookups that miss an entry which is there", len(tried), _missed(tried)),),
        (_table(),),
        (_plot(),),
    )


def _rotation(_: Workbench) -> Found:
    """Insertions never move entries but by rotations, so a loss during one is a rotation's."""
    inserted = [trial for trial in _tried("rbtree") if trial.change.kind == "insert"]
    rows = tuple((t.change.end, t.end, t.node) for t in inserted if not t.found)[:20]
    table = Table(
        "The first lookups that a rotation misleads", ("inserted", "looked up", "stopped before node"), rows
    )
    fact = happens("lookups during an insertion that miss an entry", len(inserted), _missed(inserted))
    return Found((fact,), (table, _table()), (_plot(),))


def _bplus(_: Workbench) -> Found:
    facts = tuple(
        holds(f"B+tree, {what}: lookups that find their entry", len(tried), _missed(tried))
        for what, tried in ((f"{_ENTRIES} entries", _tried("B+tree")), ("shrinking", _shrinking("B+tree")))
    )
    radix = [*_tried("radix tree"), *_shrinking("radix tree")]
    note = holds(
        '"much like the radix tree": radix tree, lookups that find their entry', len(radix), _missed(radix)
    )
    return Found((*facts, note), (_table(),), (_plot(),))


def _benefits(bench: Workbench) -> Found:
    """Trond Myklebust fears two losses: they are there if the B+tree keeps neither advantage over the "
    "radix tree."""

    def operations(m: Measured) -> float:
        return m.operations

    def merging(m: Measured) -> float:
        return m.merging.total()

    def occupied(m: Measured) -> float:
        return m.peak_bytes

    facts = (
        _lost("fewer operations: radix / rbtree, and radix / B+tree", bench, operations),
        _lost("fewer by merging: radix / rbtree, and radix / B+tree", bench, merging),
        _lost("less memory: radix / rbtree, and radix / B+tree", bench, occupied),
    )
    columns = (
        ("operations", operations),
        ("node visits", lambda m: m.work.node_visits),
        ("slots moved", lambda m: m.work.moves),
        ("nodes allocated", lambda m: m.work.allocations),
        ("rotations", lambda m: m.work.rotations),
    )
    note = "An rbtree of nodes of its own would allocate and free one for each insertion and erasure."
    tables = (
        totals(bench, "All real workloads", columns, note),
        by_workload(bench, "Bytes of the largest tree", occupied, (BPLUS, RBTREE, RADIX)),
    )
    return Found(facts, tables)


def _lost(what: str, bench: Workbench, of: Of) -> Fact:
    """Reproduced if the rbtree has the advantage and the B+tree has not; not if the B+tree keeps it."""
    has = by_ratios("", ratios(bench, of, RADIX, RBTREE), 1)
    keeps = by_ratios("", ratios(bench, of, RADIX, BPLUS), 1)
    value = f"{has.value}; {keeps.value}"
    if has.conclusion is not Conclusion.REPRODUCED and has.conclusion is not Conclusion.PARTLY:
        return Fact(what, f"{value}: there is no advantage to lose", Conclusion.UNTESTABLE)
    kept = keeps.conclusion in (Conclusion.REPRODUCED, Conclusion.PARTLY)
    return Fact(what, value, Conclusion.NOT if kept else Conclusion.REPRODUCED)


RBTREE_RCU = Claim(
    id="extent-map/rbtree-without-lock",
    quotation="The problem with an rbtree is that you can't use it together with RCU to do lockless lookups.",
    author="Trond Myklebust",
    date="2007-07-24",
    source=f"{THREAD}, answer to the second posting, line 4224",
    takes="Readers without a lock beside a writer.",
    method=_METHOD,
    real="Nothing.",
    simulated=_SIMULATED,
    rule="Reproduced if any lookup in the rbtree misses an entry which is there all the time, else not.",
    measure=_rbtree,
    constants=_CONSTANTS,
)
ROTATION = Claim(
    id="extent-map/rotation-hides",
    quotation="The rotation can hide one branch.",
    author="Peter Zijlstra",
    date="2007-07-24",
    source=f"{THREAD}, answer to Trond Myklebust, line 4271",
    takes="Readers without a lock beside a writer who rotates.",
    method=_METHOD
    + " Only insertions count: nothing else in them moves an entry below another than a rotation.",
    real="Nothing.",
    simulated=_SIMULATED,
    rule="Reproduced if any lookup misses an entry because of an insertion, else not.",
    measure=_rotation,
    constants=_CONSTANTS,
)
BPLUS_RCU = Claim(
    id="extent-map/bplus-without-lock",
    quotation="I started writing a B+tree that is RCU compatible much like the Radix tree.",
    author="Peter Zijlstra",
    date="2007-07-24",
    source=f"{THREAD}, answer to Trond Myklebust, line 4272",
    takes="Readers without a lock beside a writer, on that B+tree and on the radix tree of 2.6.22.",
    method=_METHOD + " Besides, entries far apart of which one is deleted, so that trees lose levels.",
    real="Nothing.",
    simulated=_SIMULATED + " The B+tree is modelled on his posting of 22 October 2007.",
    rule="Reproduced if no lookup in either tree misses an entry which is there; partly if in one of them, "
    "or in one "
    "of the configurations, some do.",
    measure=_bplus,
    constants=_CONSTANTS,
)
BENEFITS = Claim(
    id="extent-map/benefits-lost",
    quotation="you risk losing the two main benefits that you list above",
    author="Trond Myklebust",
    date="2007-07-24",
    source=f"{THREAD}, answer to the second posting, line 4227",
    takes="A tree with nodes of its own, fit for RCU, below the second version.",
    method="Recorded operations are repeated on the second version over Peter Zijlstra's B+tree, whose "
    "nodes are "
    "allocated; its advantages over the first version are held against the rbtree's.",
    real=REPLAYED,
    simulated=SIMULATED,
    rule="For each benefit: reproduced if the rbtree has it (median ratio above 1) and the B+tree has not, "
    "not if the "
    "B+tree keeps it. Partly where benefits differ.",
    measure=_benefits,
    constants=SIZES,
    deviations=(
        "A risk is not a forecast: that this B+tree keeps the benefits does not make the warning wrong.",
    ),
)
