# SPDX-License-Identifier: GPL-2.0-or-later
"""Claims on what the trees can do: states of any size, and any tree below them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from harness.claims import Fact, Plot, Series, Table
from reference.extent_map import ALL_BITS, Behaviour, ExtentState
from reference.index import BPlusTree, ExtentIndex, Memory, RadixTree, RbTree
from reference.machine import Finding
from suites.claims.claim import THREAD, Claim, Found
from suites.claims.measure import Workbench
from suites.claims.operations import REPLAYED
from suites.claims.replay import Comparison, Trace, compare, joined
from suites.claims.rules import holds
from suites.claims.synthetic import PAGE_SIZE
from suites.claims.variants import RADIX, RBTREE, VARIANTS, Variant

__all__ = ["ANY_SIZE", "ANY_TREE", "ForwardOnly"]

_FILE = 8 * PAGE_SIZE
_CALLS = 400
_RUNS = 25
_SEED = 20070710


def _any_size(bench: Workbench) -> Found:
    posted = (
        ("10 July as posted", replace(RADIX, behaviour=Behaviour.as_posted_radix)),
        ("24 July as posted", replace(RBTREE, behaviour=Behaviour.as_posted_rbtree)),
    )
    corrected = (("10 July corrected", RADIX), ("24 July corrected", RBTREE))
    facts, rows = [], []
    for name, variant in (*corrected, *posted):
        for size in ("smaller than a page", "larger than a page"):
            wrong = sum(_differs(variant, seed, small=size.startswith("smaller")) for seed in range(_RUNS))
            fact = holds(f"{name}, regions {size}: runs held against bytes", _RUNS, wrong)
            facts.append(fact)
            rows.append((name, size, _RUNS, wrong))
    table = Table(
        "Random calls held against a model byte by byte", ("version", "regions", "runs", "wrong"), tuple(rows)
    )
    return Found(tuple(facts), (table,), (_sizes(bench),))


def _differs(variant: Variant, seed: int, *, small: bool) -> bool:
    """Whether the tree, after random calls, does not hold what each byte must have; or breaks down."""
    rng = random.Random(_SEED + seed)
    states, naive = variant.states(), [0] * _FILE
    try:
        for _ in range(_CALLS):
            start, end = _range(rng, small=small)
            bits = 1 << rng.randrange(ALL_BITS.bit_length())
            if rng.random() < 0.6:
                states.set(start, end, bits, False)
                naive[start : end + 1] = [have | bits for have in naive[start : end + 1]]
            else:
                states.clear(start, end, bits, False)
                naive[start : end + 1] = [have & ~bits for have in naive[start : end + 1]]
    except Finding:
        return True
    held = joined((s.start, s.end, s.state) for s in states)
    return held != joined((at, at, have) for at, have in enumerate(naive) if have)


def _range(rng: random.Random, *, small: bool) -> tuple[int, int]:
    length = rng.randrange(1, PAGE_SIZE) if small else rng.randrange(PAGE_SIZE + 1, 4 * PAGE_SIZE)
    start = rng.randrange(_FILE - length)
    return start, start + length - 1


def _sizes(bench: Workbench) -> Plot:
    """How long the states are that the recorded kernels have at their checkpoints."""
    heads = ("less than a page", "a page", "up to 16 pages", "up to 1 MiB", "more")
    counts = [0] * len(heads)
    for trace in bench.real:
        for tree in (t for c in trace.checkpoints if c.valid for t in c.trees):
            for length in (tree.states["end"] - tree.states["start"] + 1).tolist():
                limits = (PAGE_SIZE - 1, PAGE_SIZE, 16 * PAGE_SIZE, 1 << 20)
                counts[sum(length > limit for limit in limits)] += 1
    series = (Series("states of the recorded kernels", tuple(map(float, counts))),)
    return Plot("Length of the states at all recorded checkpoints", "bars", heads, series, "states")


ANY_SIZE = Claim(
    id="extent-map/any-size",
    quotation="allows state bits to be set on regions smaller or larger than a single page",
    author="Chris Mason",
    date="2007-07-10",
    source=f"{THREAD}, first posting, line 28",
    takes="The posted code, and calls on ranges of any size.",
    method=f"{_RUNS} runs of {_CALLS} random sets and clears of one bit, on ranges of 1 to {PAGE_SIZE - 1} "
    f"bytes and on ranges of {PAGE_SIZE + 1} to {4 * PAGE_SIZE - 1}, on both versions, corrected and as "
    "posted; the outcome is held against a model with the bits of each byte.",
    real="The lengths in the plot are those of states of real kernels.",
    simulated="The two versions, in Python; every defect of the posted code that our checks found is in "
    "the models "
    "of it.",
    constants=(("runs", str(_RUNS)), ("calls a run", str(_CALLS)), ("file, bytes", str(_FILE))),
    rule="For each version and kind of region: reproduced if no run differs, else not. Partly where these "
    "differ.",
    measure=_any_size,
)


class ForwardOnly(ExtentIndex[ExtentState]):
    """An index of which nothing is used but exact insertion and deletion, and the search forward."""

    def __init__(self, inner: ExtentIndex[ExtentState]) -> None:
        self.inner = inner
        self.work = inner.work

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[ExtentState]:
        return iter(self.inner)

    def insert(self, entry: ExtentState) -> ExtentState | None:
        """See ExtentIndex."""
        return self.inner.insert(entry)

    def lookup(self, end: int) -> ExtentState | None:
        """Search, and see whether what is found is it."""
        found = self.search(end)
        return found if found is not None and found.end == end else None

    def search(self, offset: int) -> ExtentState | None:
        """See ExtentIndex."""
        return self.inner.search(offset)

    def next(self, entry: ExtentState) -> ExtentState | None:
        """Search from behind `entry` on."""
        return self.search(entry.end + 1)

    def prev(self, entry: ExtentState) -> ExtentState | None:
        """Return the entry that ends just before `entry`, the only one that merging can want."""
        return self.lookup(entry.start - 1) if entry.start else None

    def erase(self, entry: ExtentState) -> None:
        """See ExtentIndex."""
        self.inner.erase(entry)

    def memory(self) -> Memory:
        """See ExtentIndex."""
        return self.inner.memory()

    def validate(self) -> None:
        """See ExtentIndex."""
        self.inner.validate()


_INDEXES: dict[str, type[ExtentIndex[ExtentState]]] = {
    "red-black tree": RbTree,
    "radix tree": RadixTree,
    "B+tree": BPlusTree,
}


def _forward_on(cls: type[ExtentIndex[ExtentState]]) -> type[ForwardOnly]:
    return type(
        f"ForwardOnly{cls.__name__}", (ForwardOnly,), {"__init__": lambda s: ForwardOnly.__init__(s, cls())}
    )


def _any_tree(bench: Workbench) -> Found:
    kinds = [("as it is", v) for v in VARIANTS]
    for name, index in _INDEXES.items():
        for base in (RADIX, RBTREE):
            forward = replace(
                base, name=f"{name} under {base.behaviour.structure} version", index=_forward_on(index)
            )
            kinds.append(("searching forward only", forward))
    facts: list[Fact] = []
    rows = []
    for how, variant in kinds:
        found = _compare_all(bench.real, variant)
        fact = holds(
            f"{variant.name}, {how}: trees at checkpoints and exclusive sets",
            found.checkpoints + found.sets,
            len(found.wrong),
        )
        facts.append(fact)
        rows.append(
            (variant.name, how, found.checkpoints, found.ranges, found.sets, found.refused, len(found.wrong))
        )
    heads = ("tree", "used", "trees at checkpoints", "ranges", "exclusive sets", "of which refused", "wrong")
    return Found(tuple(facts), (Table("Held against the recorded kernels", heads, tuple(rows)),))


def _compare_all(traces: tuple[Trace, ...], variant: Variant) -> Comparison:
    whole = Comparison()
    for trace in traces:
        found = compare(trace, variant.states)
        whole.checkpoints += found.checkpoints
        whole.ranges += found.ranges
        whole.sets += found.sets
        whole.refused += found.refused
        whole.wrong += found.wrong
    return whole


ANY_TREE = Claim(
    id="extent-map/any-tree",
    quotation="More or less any tree that can search and return the first key >= than the requested key "
    "will work.",
    author="Chris Mason",
    date="2007-07-24",
    source=f"{THREAD}, answer to Peter Zijlstra, line 4329",
    takes="Other trees below the same code, and something to hold the outcome against.",
    method="Recorded operations are repeated on both versions over three trees, as they are and with "
    "nothing used but "
    "insertion, deletion and the search forward; ranges and bits are held against the kernel's own "
    "checkpoints, and "
    "exclusive sets against where the record has them fail.",
    real=REPLAYED,
    simulated="The trees and both versions, in Python.",
    rule="For each tree: reproduced if nothing differs, else not. Partly where trees differ.",
    measure=_any_tree,
)
