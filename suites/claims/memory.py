# SPDX-License-Identifier: GPL-2.0-or-later
"""The claim that the second version uses much less memory."""

from __future__ import annotations

from harness.claims import Figure, Plot, Series, Table
from harness.judge.applied import CallKind
from reference.extent_map import States
from reference.index.bplus_nodes import BTREE_NODE_BYTES
from reference.index.radix_nodes import RADIX_TREE_NODE_BYTES
from reference.index.rbtree import RB_NODE_BYTES
from suites.claims.claim import THREAD, Claim, Found
from suites.claims.measure import Measured, Workbench
from suites.claims.operations import REPLAYED, SIMULATED
from suites.claims.present import by_workload, control_ratios, ratio_plot, ratios
from suites.claims.replay import Trace
from suites.claims.rules import MUCH, by_ratios
from suites.claims.variants import BPLUS, RADIX, RBTREE, STATE_BYTES, Variant

__all__ = ["LESS_RAM", "SIZES"]

SIZES: tuple[tuple[str, str], ...] = (
    ("radix tree node, bytes", str(RADIX_TREE_NODE_BYTES)),
    ("rb_node in a state, bytes", str(RB_NODE_BYTES)),
    ("B+tree node, bytes", str(BTREE_NODE_BYTES)),
    ("state of the first version, bytes", str(STATE_BYTES["radix"])),
    ("state of the second without its rb_node, bytes", str(STATE_BYTES["rbtree"])),
)
_POINTS = 120


def _peak(m: Measured) -> float:
    return m.peak_bytes


def _less_ram(bench: Workbench) -> Found:
    facts = (
        by_ratios("bytes of the largest tree, radix / rbtree", ratios(bench, _peak, RADIX, RBTREE)),
        by_ratios("the same on the controls", control_ratios(bench, _peak, RADIX, RBTREE)),
    )
    rows: list[tuple[Figure, ...]] = []
    variants = (RADIX, RBTREE, BPLUS)
    columns = [[*bench.each(v), *bench.each_control(v)] for v in variants]
    for trace, *each in zip((*bench.real, *bench.controls), *columns, strict=True):
        rows.append((trace.name, each[0].peak_states, *(m.peak_bytes / max(m.peak_states, 1) for m in each)))
    heads = ("workload", "states", *(v.name for v in variants))
    per_state = Table("Bytes a state, of the largest tree", heads, tuple(rows), digits=0)
    table = by_workload(bench, "Bytes of the largest tree", _peak, variants)
    plot = ratio_plot(bench, "Memory of the largest tree", _peak, RADIX, RBTREE, MUCH, "times the rbtree's")
    return Found(facts, (table, per_state), (plot, _growth(bench)))


def _growth(bench: Workbench) -> Plot:
    """Bytes of each variant while the recorded tree that grew largest was worked on."""
    number = max(range(len(bench.real)), key=lambda n: bench.each(RBTREE)[n].peak_states)
    trace = bench.real[number]
    series = tuple(Series(v.name, tuple(_bytes_over_time(trace, v))) for v in (RADIX, RBTREE, BPLUS))
    count = len(series[0].values)
    labels = tuple(str(round(100 * n / max(count - 1, 1))) for n in range(count))
    title = f"Memory of the largest recorded tree ({trace.name})"
    return Plot(title, "lines", labels, series, "bytes", x_title="percent of its operations")


def _bytes_over_time(trace: Trace, variant: Variant) -> list[float]:
    best: list[float] = []
    for steps in trace.trees.values():
        states = variant.counting_states()[0]
        calls = [step for step in steps if step.kind != CallKind.CHECKPOINT]
        every = max(len(calls) // _POINTS, 1)
        found: list[float] = []
        for n, step in enumerate(calls):
            step.apply(states)  # type: ignore[arg-type]
            if n % every == 0:
                found.append(_occupied(states, variant))
        best = max(best, found, key=lambda values: max(values, default=0.0))
    return best


def _occupied(states: States, variant: Variant) -> float:
    return float(variant.bytes_of(states))


LESS_RAM = Claim(
    id="extent-map/less-ram",
    quotation="It also uses much less ram.",
    author="Chris Mason",
    date="2007-07-24",
    source=f"{THREAD}, second posting, line 2109",
    takes="Both versions on the same workload, and the sizes of their structures.",
    method="Recorded operations are repeated on both versions; of the tree that occupies most, states, "
    "nodes and root "
    "are added up at its largest, by the sizes of the structures on x86-64.",
    real=REPLAYED,
    simulated=SIMULATED + " Sizes are worked out from the declarations; what slabs add is left out, as are "
    "preloaded nodes.",
    constants=(("much, a factor of", f"{MUCH:g}"), *SIZES),
    rule=f"On recorded workloads and on controls: reproduced if the median ratio is {MUCH:g} or more and "
    "none is 1 "
    "or less, partly if the median exceeds 1. Partly where these differ.",
    measure=_less_ram,
    deviations=("That controls count was added to the rule after a first run.",),
)
