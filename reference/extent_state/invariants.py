# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbered invariants of an extent-io-tree and of the index under it.

1. A state has 0 <= start <= end <= U64_MAX.
2. States are in order and do not overlap.
3. A state has at least one bit.
4. A state has no control bit.
5. Two neighbours that touch and have the same bits are locked, or a boundary, or were split apart by an
   operation that has not finished and goes on between the two.
6. The dict by start holds exactly the states, under their starts.
7. `prev` mirrors `next`, all around the ring.
8. The tree holds the states in the order of the ring, and children know their parents.
9. The root is black, no red state has a red child, every path down has the same number of black states.
10. No two states have the same ident.

Whole operations keep all of them. Between sections, 5 needs to know where the unfinished operations go on.
Setting nothing but control bits on a hole would break 3, in the kernel too; no record shows it.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

from reference.extent_state.index import StateIndex
from reference.extent_state.queries import Queries
from reference.extent_state.state import U64_MAX, ExtentState
from reference.rbtree import InvariantError, check_colours, check_order_of_tree

__all__ = ["InvariantError", "validate"]


def validate(tree: Queries, unfinished: Collection[int] = ()) -> None:
    """Raise InvariantError if `tree` breaks an invariant.

    `unfinished` are the offsets that sections returned and that no section has gone on from yet.
    """
    _check_ring(tree)
    states = list(tree)
    for state in states:
        _check_state(tree, state)
    for before, after in pairwise(states):
        _check_neighbours(tree, before, after, unfinished)
    _check_idents(states)
    _check_starts(tree, states)
    check_order_of_tree(tree.anchor, states, 8)
    check_colours(tree.anchor, 9)


def _check_ring(index: StateIndex) -> None:
    state = index.anchor
    for _ in range(len(index) + 1):
        if state.next.prev is not state:
            raise InvariantError(7, f"{state.next} does not point back to {state}")
        state = state.next
        if state is index.anchor:
            return
    raise InvariantError(6, f"{state} is reached by the links, but the dict has only {len(index)} states")


def _check_state(tree: Queries, state: ExtentState) -> None:
    if not 0 <= state.start <= state.end <= U64_MAX:
        raise InvariantError(1, f"{state} is no range")
    if state.state == 0:
        raise InvariantError(3, f"{state} has no bits")
    if state.state & tree.bits.ctlbits:
        control = tree.bits.describe(state.state & tree.bits.ctlbits)
        raise InvariantError(4, f"{state} stores the control bits {control}")


def _check_neighbours(
    tree: Queries, before: ExtentState, after: ExtentState, unfinished: Collection[int]
) -> None:
    if before.end >= after.start:
        raise InvariantError(2, f"{before} reaches into {after}")
    if before.end + 1 != after.start or before.state != after.state or after.start in unfinished:
        return
    if not before.state & (tree.bits.lock_bits | tree.bits.boundary):
        raise InvariantError(5, f"{before} and {after} should have been merged")


def _check_idents(states: list[ExtentState]) -> None:
    seen: dict[int, ExtentState] = {}
    for state in states:
        if state.ident in seen:
            raise InvariantError(10, f"{state} has the ident of {seen[state.ident]}")
        seen[state.ident] = state


def _check_starts(index: StateIndex, states: list[ExtentState]) -> None:
    for state in states:
        if index.by_start.get(state.start) is not state:
            raise InvariantError(6, f"{state} is not found by its start")
    if len(index.by_start) != len(states):
        raise InvariantError(6, f"the dict has {len(index.by_start)} states, the ring {len(states)}")
