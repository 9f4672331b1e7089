# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure how fast the extent-io-tree model replays: `python -m benchmarks.replay [--operations N]`.

Each row is a number of live states and a mix of operations. The operations are made beforehand, with the
states that the kernel would have preallocated, so that only the model is timed; the best of three runs
counts.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from reference.extent_state import LINUX_6_18, ExtentIoTree

__all__ = ["main"]

PAGE = 4096
NAMES = LINUX_6_18.names
LOCKED, DELALLOC, DIRTY = NAMES["LOCKED"], NAMES["DELALLOC"], NAMES["DIRTY"]

Operation = tuple[str, int, int, int, int]
"""Kind, start and end in bytes, bits, bits to clear (convert)."""


def write_mix(live: int, rng: random.Random) -> Iterator[Operation]:
    """Random pages: lock, set delalloc, unlock; then an older page is written back, so that `live` remain."""
    pages = list(range(0, 2 * live, 2))
    rng.shuffle(pages)
    spare = list(range(1, 2 * live + 1, 2))
    while True:
        at = rng.randrange(live)
        spare_at = rng.randrange(len(spare))
        old, new = pages[at], spare[spare_at]
        pages[at], spare[spare_at] = new, old
        yield from (_page("set", old, LOCKED), _page("clear", old, LOCKED | DELALLOC))
        yield from (_page("set", new, LOCKED), _page("set", new, DELALLOC), _page("clear", new, LOCKED))


def rewrite_mix(live: int, rng: random.Random) -> Iterator[Operation]:
    """Random dirty pages: lock, clear and set delalloc again, unlock. No state comes or goes."""
    while True:
        page = 2 * rng.randrange(live)
        yield from (_page("set", page, LOCKED), _page("clear", page, DELALLOC))
        yield from (_page("set", page, DELALLOC), _page("clear", page, LOCKED))


def convert_mix(live: int, rng: random.Random) -> Iterator[Operation]:
    """Metadata blocks of four pages: dirtied, one page in the middle converted and cleared."""
    while True:
        block = 8 * rng.randrange(live // 2)
        yield "set", block * PAGE, (block + 4) * PAGE - 1, DELALLOC, 0
        yield "convert", (block + 1) * PAGE, (block + 2) * PAGE - 1, DIRTY, DELALLOC
        yield "clear", (block + 1) * PAGE, (block + 2) * PAGE - 1, DIRTY, 0


def _page(kind: str, page: int, bits: int) -> Operation:
    return kind, page * PAGE, (page + 1) * PAGE - 1, bits, 0


Mix = Callable[[int, random.Random], Iterator[Operation]]
MIXES: dict[str, Mix] = {"write": write_mix, "rewrite": rewrite_mix, "convert": convert_mix}


def filled_tree(live: int) -> ExtentIoTree:
    """Return a tree of `live` delalloc pages, every other page, filled in random order."""
    tree = ExtentIoTree(LINUX_6_18)
    pages = list(range(0, 2 * live, 2))
    random.Random(live).shuffle(pages)
    for page in pages:
        tree.set_extent_bit(page * PAGE, (page + 1) * PAGE - 1, DELALLOC)
    return tree


def replay(tree: ExtentIoTree, operations: Sequence[Operation]) -> None:
    """Apply `operations`, whole, each with one state supplied."""
    supply = tree.supply
    ident = 1 << 40
    set_bits, clear_bits, convert = tree.set_extent_bit, tree.clear_extent_bit, tree.convert_extent_bit
    for kind, start, end, bits, cleared in operations:
        if not supply:
            supply.append(ident)
            ident += 64
        if kind == "set":
            set_bits(start, end, bits)
        elif kind == "clear":
            clear_bits(start, end, bits)
        else:
            convert(start, end, bits, cleared)
    tree.erased.clear()


class SortedLists:
    """What one would write first: parallel sorted lists, an insertion or removal moves the rest. For
    comparison.

    Only whole states are handled, which is all that the mix "write" needs.
    """

    def __init__(self, live: int) -> None:
        self.starts = [page * PAGE for page in range(0, 2 * live, 2)]
        self.bits = [DELALLOC] * live

    def replay(self, operations: Sequence[Operation]) -> None:
        """Apply `operations` to the lists."""
        starts, states = self.starts, self.bits
        for kind, start, _end, bits, _cleared in operations:
            at = bisect_right(starts, start)
            found = at > 0 and starts[at - 1] == start
            if not found:
                starts.insert(at, start)
                states.insert(at, bits)
            elif kind == "set":
                states[at - 1] |= bits
            else:
                states[at - 1] &= ~bits
                if not states[at - 1]:
                    del starts[at - 1], states[at - 1]


def rate(run: Callable[[Sequence[Operation]], None], operations: Sequence[Operation]) -> float:
    """Return operations per second of CPU time."""
    gc.collect()
    gc.disable()
    begun = time.process_time()
    run(operations)
    spent = time.process_time() - begun
    gc.enable()
    return len(operations) / spent


def model_rate(live: int, operations: Sequence[Operation]) -> float:
    """Return the best rate of three runs on fresh trees."""
    best = 0.0
    for _ in range(3):
        tree = filled_tree(live)
        best = max(best, rate(lambda ops, tree=tree: replay(tree, ops), operations))  # type: ignore[misc]
    return best


def main() -> None:
    """Print one line for each number of live states and mix."""
    parser = argparse.ArgumentParser(description="Replay speed of the extent-io-tree model.")
    parser.add_argument("--operations", type=int, default=200_000)
    parser.add_argument("--live", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    arguments = parser.parse_args()
    print(f"{'live states':>12} {'mix':<8} {'operations/s':>13} {'sorted lists':>13} {'ratio':>6}")
    for live in arguments.live:
        for name, mix in MIXES.items():
            source = mix(live, random.Random(live))
            operations = [next(source) for _ in range(arguments.operations)]
            ours = model_rate(live, operations)
            line = f"{live:>12,} {name:<8} {ours:>13,.0f}"
            if name == "write":
                theirs = rate(SortedLists(live).replay, operations)
                line += f" {theirs:>13,.0f} {ours / theirs:>6.1f}"
            print(line)


if __name__ == "__main__":
    main()
