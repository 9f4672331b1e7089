# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure how fast the state trees of 2007 work: `python -m benchmarks.extent_map [--operations N]`.

The mixes of `benchmarks.replay`, whole calls at once, nothing counted; the best of five runs counts. All
variants do the same operations, and must hold the same in the end.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sortedcontainers import SortedDict

from reference.extent_map import EXTENT_DIRTY, EXTENT_LOCKED, EXTENT_UPTODATE, Behaviour, States, state_tree
from reference.extent_map.rbtree_states import RbtreeStates
from reference.index import BPlusTree

__all__ = ["main"]

PAGE = 4096


class Operation(NamedTuple):
    """Set (`on`) or clear `bits` on [start, end], bytes."""

    on: bool
    start: int
    end: int
    bits: int


def write_mix(live: int, rng: random.Random) -> Iterator[Operation]:
    """Random pages: lock, dirty, unlock; then an older page is locked and cleaned, so that `live` remain."""
    pages = list(range(0, 2 * live, 2))
    spare = list(range(1, 2 * live + 1, 2))
    rng.shuffle(pages)
    while True:
        at, spare_at = rng.randrange(live), rng.randrange(len(spare))
        old, new = pages[at], spare[spare_at]
        pages[at], spare[spare_at] = new, old
        yield from (_page(True, old, EXTENT_LOCKED), _page(False, old, EXTENT_LOCKED | EXTENT_DIRTY))
        yield from (_page(True, new, EXTENT_LOCKED), _page(True, new, EXTENT_DIRTY))
        yield _page(False, new, EXTENT_LOCKED)


def rewrite_mix(live: int, rng: random.Random) -> Iterator[Operation]:
    """Random dirty pages: lock, clean, dirty again, unlock. No state comes or goes."""
    while True:
        page = 2 * rng.randrange(live)
        yield from (_page(True, page, EXTENT_LOCKED), _page(False, page, EXTENT_DIRTY))
        yield from (_page(True, page, EXTENT_DIRTY), _page(False, page, EXTENT_LOCKED))


def split_mix(live: int, rng: random.Random) -> Iterator[Operation]:
    """Blocks of four dirty pages, one in the middle up to date and not any more: they split and merge."""
    while True:
        block = 8 * rng.randrange(live // 2)
        yield Operation(True, block * PAGE, (block + 4) * PAGE - 1, EXTENT_DIRTY)
        yield _page(True, block + 1, EXTENT_UPTODATE)
        yield _page(False, block + 1, EXTENT_UPTODATE)


def _page(on: bool, page: int, bits: int) -> Operation:
    return Operation(on, page * PAGE, (page + 1) * PAGE - 1, bits)


Mix = Callable[[int, random.Random], Iterator[Operation]]
MIXES: dict[str, Mix] = {"write": write_mix, "rewrite": rewrite_mix, "split": split_mix}
VARIANTS: dict[str, Callable[[], States]] = {
    "rbtree": lambda: state_tree(Behaviour.corrected_rbtree),
    "radix": lambda: state_tree(Behaviour.corrected_radix),
    "B+tree": lambda: RbtreeStates(BPlusTree(), Behaviour.corrected_rbtree),
}


class SortedStates:
    """What one would write today: a SortedDict of (start, bits) by end. Whole states only, no merging.

    That is all that "write" and "rewrite" need, whose pages never touch.
    """

    def __init__(self) -> None:
        self.states: SortedDict = SortedDict()

    def set_extent_bit(self, start: int, end: int, bits: int) -> None:
        """Set bits on a whole state, or make one."""
        _, held = self.states.get(end, (start, 0))
        self.states[end] = (start, held | bits)

    def clear_extent_bit(self, start: int, end: int, bits: int) -> None:
        """Clear bits of a whole state."""
        keys = self.states.keys()
        at = self.states.bisect_left(start)
        if at == len(keys) or keys[at] != end:
            return
        _, held = self.states[end]
        if held & ~bits:
            self.states[end] = (start, held & ~bits)
        else:
            del self.states[end]


def filled(tree: States | SortedStates, live: int) -> None:
    """Fill `tree` with `live` dirty pages, every other page, in random order."""
    pages = list(range(0, 2 * live, 2))
    random.Random(live).shuffle(pages)
    for page in pages:
        tree.set_extent_bit(page * PAGE, (page + 1) * PAGE - 1, EXTENT_DIRTY)


def replay(tree: States | SortedStates, operations: Sequence[Operation]) -> float:
    """Apply `operations` and return how many were done in a second of CPU time."""
    set_extent_bit, clear_extent_bit = tree.set_extent_bit, tree.clear_extent_bit
    gc.collect()
    gc.disable()
    begun = time.process_time()
    for on, start, end, bits in operations:
        if on:
            set_extent_bit(start, end, bits)
        else:
            clear_extent_bit(start, end, bits)
    spent = time.process_time() - begun
    gc.enable()
    return len(operations) / spent


def best_rate(make: Callable[[], States], live: int, operations: Sequence[Operation], runs: int) -> float:
    """Return the best rate of `runs` runs, each on a fresh tree."""
    best = 0.0
    for _ in range(runs):
        tree = make()
        filled(tree, live)
        best = max(best, replay(tree, operations))
    return best


def sorted_rate(live: int, operations: Sequence[Operation], runs: int) -> float:
    """Return the best rate of the SortedDict."""
    best = 0.0
    for _ in range(runs):
        tree = SortedStates()
        filled(tree, live)
        best = max(best, replay(tree, operations))
    return best


def check_agreement(live: int, operations: Sequence[Operation]) -> None:
    """Raise AssertionError unless all variants hold the same after `operations`."""
    held = []
    for make in VARIANTS.values():
        tree = make()
        filled(tree, live)
        replay(tree, operations)
        held.append(tree.states())
    assert all(states == held[0] for states in held)


def main() -> None:
    """Print one line for each number of live states and mix."""
    parser = argparse.ArgumentParser(description="Speed of the state trees of 2007.")
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--live", type=int, nargs="*", default=[100, 1_000, 10_000])
    arguments = parser.parse_args()
    print(f"{'live':>7} {'mix':<8}" + "".join(f"{name:>12}" for name in [*VARIANTS, "SortedDict"]))
    for live in arguments.live:
        for name, mix in MIXES.items():
            source = mix(live, random.Random(live))
            operations = [next(source) for _ in range(arguments.operations)]
            check_agreement(live, operations)
            rates = [best_rate(make, live, operations, arguments.runs) for make in VARIANTS.values()]
            if name != "split":
                rates.append(sorted_rate(live, operations, arguments.runs))
            print(f"{live:>7,} {name:<8}" + "".join(f"{rate:>12,.0f}" for rate in rates), flush=True)


if __name__ == "__main__":
    main()
