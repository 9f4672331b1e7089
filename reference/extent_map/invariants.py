# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbered invariants of the state tree and of the map tree.

1. An entry has 0 <= start <= end <= U64_MAX.
2. Entries are in order and do not overlap.
3. A state has at least one bit, and none but the EXTENT_ bits.
4. Two neighbouring states that touch and have the same bits are under I/O, or were split apart by a call that
   has not finished and goes on between the two.
5. What is in a tree knows that it is (`in_tree`) and has a reference.
6. A map that is no hole is as long on disk as in the file.

The index under the tree has its own (reference/index/invariants.py). Whole calls keep all of them; sections
keep all but 4 at the offsets where their requests go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise

from reference.extent_map.bits import ALL_BITS, describe
from reference.extent_map.objects import ExtentMap, ExtentState
from reference.index import U64_MAX, ExtentIndex

__all__ = ["InvariantError", "validate_maps", "validate_states"]


class InvariantError(AssertionError):
    """A tree breaks the invariant `number`; the message names the entry."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"invariant {number}: {message}")
        self.number = number


def validate_states(index: ExtentIndex[ExtentState], iobits: int, unfinished: Collection[int]) -> None:
    """Raise InvariantError if a state tree over `index` breaks an invariant; `iobits` keep states apart."""
    index.validate()
    _check_entries(index)
    for state in index:
        if not state.state or state.state & ~ALL_BITS:
            raise InvariantError(3, f"{state} has bits {describe(state.state)}")
    for before, after in pairwise(index):
        if before.end + 1 != after.start or before.state != after.state or after.start in unfinished:
            continue
        if not before.state & iobits:
            raise InvariantError(4, f"{before} and {after} should have been merged")


def validate_maps(index: ExtentIndex[ExtentMap]) -> None:
    """Raise InvariantError if a map tree over `index` breaks an invariant."""
    index.validate()
    _check_entries(index)
    for em in index:
        if em.block_start and em.block_end - em.block_start != em.end - em.start:
            raise InvariantError(6, f"{em} ends at {em.block_end} on disk")


def _check_entries(entries: Iterable[ExtentState] | Iterable[ExtentMap]) -> None:
    before: ExtentState | ExtentMap | None = None
    for entry in entries:
        if not 0 <= entry.start <= entry.end <= U64_MAX:
            raise InvariantError(1, f"{entry} is no range")
        if before is not None and before.end >= entry.start:
            raise InvariantError(2, f"{before} reaches into {entry}")
        if not entry.in_tree or entry.refs < 1:
            raise InvariantError(
                5, f"{entry} is in the tree: in_tree {entry.in_tree}, {entry.refs} references"
            )
        before = entry
