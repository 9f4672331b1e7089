# SPDX-License-Identifier: GPL-2.0-or-later
"""Claims on how many operations the trees ask of their index, and on what one of them costs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.claims import Figure, Plot, Series, Table
from reference.extent_map import ExtentState
from reference.index import ExtentIndex, RadixTree, RbTree, Work, counting
from suites.claims.claim import THREAD, Claim, Found
from suites.claims.cost import CORNERS, Costs, constants
from suites.claims.measure import Measured, Workbench
from suites.claims.present import by_workload, control_ratios, ratio_plot, ratios, totals
from suites.claims.rules import MUCH, all_of, by_ratios
from suites.claims.synthetic import PAGE_SIZE
from suites.claims.variants import RADIX, RBTREE

__all__ = ["FEWER", "REPLAYED", "SIMULATED", "SLOWER"]

REPLAYED = (
    "The operations, their ranges, bits and order: all were recorded of btrfs on real kernels (5.10 to "
    "7.2) and "
    "put in order by the judge. Each variant ends where the kernel's own checkpoints say."
)
SIMULATED = (
    "The trees: models of the patch's two versions, corrected, and of the radix tree and the rbtree of "
    "2.6.22, in "
    "Python. The operations are btrfs's of today, not ext2's of 2007; the controls make the calls of the "
    "patch's "
    "ext2 user."
)
SIZES = (16, 256, 4096, 65536)
"""Entries in the index."""


def _fewer(bench: Workbench) -> Found:
    def operations(m: Measured) -> float:
        return m.operations

    def merging(m: Measured) -> float:
        return m.merging.total()

    def each(m: Measured) -> float:
        return m.changes

    facts = (
        by_ratios("operations on the index, radix / rbtree", ratios(bench, operations, RADIX, RBTREE)),
        by_ratios("of which by merging, radix / rbtree", ratios(bench, merging, RADIX, RBTREE)),
        by_ratios("operations on the controls", control_ratios(bench, operations, RADIX, RBTREE)),
        by_ratios("of which by merging on the controls", control_ratios(bench, merging, RADIX, RBTREE)),
    )
    columns = (
        ("operations", operations),
        ("by merging", merging),
        ("that change the index", each),
        ("states allocated", lambda m: m.states_allocated),
    )
    note = (
        "What crosses a version with the other's index tells that the number of operations is due to the "
        "way of "
        "working, not to the index; changes are the same for all."
    )
    plot = ratio_plot(bench, "Operations on the index", operations, RADIX, RBTREE, MUCH, "times as many")
    merge_plot = ratio_plot(bench, "Operations by merging", merging, RADIX, RBTREE, MUCH, "times as many")
    variants = (RADIX, RBTREE)
    return Found(
        facts,
        (
            totals(bench, "All real workloads", columns, note),
            by_workload(bench, "Operations on the index", operations, variants),
            by_workload(bench, "Operations on the index by merging", merging, variants),
        ),
        (plot, merge_plot),
    )


FEWER = Claim(
    id="extent-map/fewer-operations",
    quotation="the rbtree was able to do many fewer ops to accomplish the same thing, "
    "especially for merging extents together",
    author="Chris Mason",
    date="2007-07-24",
    source=f"{THREAD}, second posting, line 2108",
    takes="Both versions on the same workload, and a count of the operations on their trees.",
    method="Recorded operations are repeated on both versions. Each operation that a version asks of its "
    "index "
    "(insert, erase, lookup, search, next, prev) is counted, and those of merge_state apart.",
    real=REPLAYED,
    simulated=SIMULATED,
    constants=(("many, a factor of", f"{MUCH:g}"),),
    rule="For all operations and for those of merging, on recorded workloads and on controls: reproduced "
    "if the "
    f"median ratio is {MUCH:g} or more and none is 1 or less, partly if the median exceeds 1. Partly where "
    "these "
    "differ.",
    measure=_fewer,
    deviations=("That controls count was added to the rule after a first run.",),
)


_INDEXES: dict[str, type[ExtentIndex[ExtentState]]] = {"rbtree": RbTree, "radix tree": RadixTree}


@dataclass(frozen=True)
class _Single:
    """Work of one operation on an index with `size` entries, on average."""

    name: str
    size: int
    work: dict[str, tuple[Work, int]]
    """By index: the work of so many operations."""

    def slower_at(self, costs: Costs) -> bool:
        return self.cycles("rbtree", costs) > self.cycles("radix tree", costs)

    def cycles(self, index: str, costs: Costs) -> float:
        work, count = self.work[index]
        return costs.cycles(work, count) / count


def _slower(_: Workbench) -> Found:
    singles = [single for size in SIZES for single in _singles(size)]
    slower = [single.slower_at(costs) for single in singles for costs in CORNERS]
    value = f"{sum(slower)} of {len(slower)} comparisons: operation, size, corner of the cost model"
    facts = (all_of("an operation of the rbtree costs more than the radix tree's", value, slower),)
    rows = tuple(_row(single) for single in singles)
    heads = (
        *("operation", "entries", "rbtree, node visits", "rbtree, compares and rotations"),
        *(
            "radix, node visits",
            "radix, slots",
            "radix, node allocations",
            "corners at which the rbtree costs more",
        ),
    )
    return Found(facts, (Table("Work of one operation", heads, rows),), _visit_plots(singles))


def _row(single: _Single) -> tuple[Figure, ...]:
    rb, n = single.work["rbtree"]
    radix, m = single.work["radix tree"]
    return (
        *(single.name, single.size, rb.node_visits / n, (rb.compares + rb.rotations) / n),
        *(radix.node_visits / m, radix.slots / m, radix.allocations / m),
        f"{sum(single.slower_at(c) for c in CORNERS)} of {len(CORNERS)}",
    )


def _singles(size: int) -> list[_Single]:
    done = {name: _work(cls, size) for name, cls in _INDEXES.items()}
    return [_Single(name, size, {index: done[index][name] for index in done}) for name in done["rbtree"]]


def _work(cls: type[ExtentIndex[ExtentState]], size: int) -> dict[str, tuple[Work, int]]:
    """Count `size` entries of a page each inserted in order, looked up, searched for, and erased."""
    index = counting(cls)()
    entries = [ExtentState(n * PAGE_SIZE, (n + 1) * PAGE_SIZE - 1) for n in range(size)]
    done = {}
    for name, act in (
        ("insert", index.insert),
        ("lookup", lambda e: index.lookup(e.end)),
        ("search", lambda e: index.search(e.start)),
        ("erase", index.erase),
    ):
        index.work.clear()
        for entry in entries:
            act(entry)
        done[name] = (replace(index.work), size)
    return done


def _visit_plots(singles: list[_Single]) -> tuple[Plot, ...]:
    plots = []
    for name in ("insert", "search", "erase"):
        of_name = [single for single in singles if single.name == name]
        series = tuple(
            Series(index, tuple(s.work[index][0].node_visits / s.work[index][1] for s in of_name))
            for index in ("rbtree", "radix tree")
        )
        labels = tuple(f"{s.size:,}" for s in of_name)
        plots.append(
            Plot(f"Nodes visited by one {name}", "lines", labels, series, "node visits", x_title="entries")
        )
    return tuple(plots)


SLOWER = Claim(
    id="extent-map/slower-operations",
    quotation="individual operations are slower",
    author="Chris Mason",
    date="2007-07-24",
    source=f"{THREAD}, second posting, line 2107",
    takes="Single operations on both trees, on a processor of 2007, in a kernel.",
    method="Entries of a page each are inserted in order, looked up, searched for (tree_search; a gang "
    "lookup of "
    "one) and erased; the work of each is counted and priced by a cost model, at all of its corners.",
    real="Nothing but the algorithms.",
    simulated="The trees, in Python; the processor, as a cost model. Times of the Python models are not "
    "used: they "
    "say nothing of C.",
    constants=(*constants(), ("entries", ", ".join(f"{n:,}" for n in SIZES))),
    rule="Reproduced if each operation of the rbtree costs more at each size and corner, partly if some do.",
    measure=_slower,
    deviations=("Nodes that an rbtree only recolours are not counted.",),
)
