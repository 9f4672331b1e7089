# SPDX-License-Identifier: GPL-2.0-or-later
"""Each invariant has a tree that was broken on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reference.extent_state.bits import LINUX_6_18
from reference.extent_state.index import StateIndex
from reference.extent_state.invariants import InvariantError
from reference.extent_state.state import U64_MAX, ExtentState
from reference.extent_state.testing import BITS
from reference.extent_state.tree import ExtentIoTree

DIRTY, DELALLOC = BITS["DIRTY"], BITS["DELALLOC"]


def healthy() -> ExtentIoTree:
    """Seven states of ten bytes, from 0 to 69, unequal to their neighbours, idents 1 to 7."""
    tree = ExtentIoTree(LINUX_6_18)
    for number in range(7):
        tree.supply = [number + 1]
        tree.set_extent_bit(10 * number, 10 * number + 9, DELALLOC if number % 2 else DIRTY)
    return tree


def leaf(index: StateIndex) -> ExtentState:
    return next(state for state in index if state.left is state.right is index.anchor)


def empty_range(tree: ExtentIoTree) -> None:
    tree.by_start[20].end = 19


def beyond_u64(tree: ExtentIoTree) -> None:
    tree.by_start[60].end = U64_MAX + 1


def overlap(tree: ExtentIoTree) -> None:
    tree.by_start[20].end = 30


def no_bits(tree: ExtentIoTree) -> None:
    tree.by_start[20].state = 0


def control_bits(tree: ExtentIoTree) -> None:
    tree.by_start[20].state |= LINUX_6_18.clear_all_bits


def unmerged(tree: ExtentIoTree) -> None:
    tree.by_start[20].state = DELALLOC


def wrong_key(tree: ExtentIoTree) -> None:
    tree.by_start[20], tree.by_start[30] = tree.by_start[30], tree.by_start[20]


def stale_key(tree: ExtentIoTree) -> None:
    tree.by_start[25] = tree.by_start[20]


def missing_key(tree: ExtentIoTree) -> None:
    del tree.by_start[20]


def one_way_link(tree: ExtentIoTree) -> None:
    tree.by_start[20].prev = tree.by_start[0]


def bypass(tree: ExtentIoTree) -> None:
    before, after = tree.by_start[10], tree.by_start[30]
    before.next, after.prev = after, before
    del tree.by_start[20]


def wrong_parent(tree: ExtentIoTree) -> None:
    state = leaf(tree)
    state.parent = state


def swapped_children(tree: ExtentIoTree) -> None:
    root = tree.anchor.left
    root.left, root.right = root.right, root.left


def lost_leaf(tree: ExtentIoTree) -> None:
    last = tree.anchor.prev
    last.parent.right = tree.anchor


def red_root(tree: ExtentIoTree) -> None:
    tree.anchor.left.red = True


def red_pair(tree: ExtentIoTree) -> None:
    state = tree.anchor.prev
    state.red = state.parent.red = True


def uneven(tree: ExtentIoTree) -> None:
    state = leaf(tree)
    state.red = not state.red
    state.parent.red = False


def same_ident(tree: ExtentIoTree) -> None:
    tree.by_start[20].ident = 1


BROKEN: list[tuple[int, Callable[[ExtentIoTree], None], str]] = [
    (1, empty_range, r"state 0x3 \[20, 19\] bits 0x1 is no range"),
    (1, beyond_u64, r"\[60, 18446744073709551616\] bits 0x1 is no range"),
    (2, overlap, r"state 0x3 \[20, 30\] bits 0x1 reaches into state 0x4 \[30, 39\]"),
    (3, no_bits, r"state 0x3 .* has no bits"),
    (4, control_bits, r"state 0x3 .* stores the control bits CLEAR_ALL_BITS"),
    (5, unmerged, r"state 0x2 .* and state 0x3 .* should have been merged"),
    (6, wrong_key, r"state 0x3 .* is not found by its start"),
    (6, stale_key, r"the dict has 8 states, the ring 7"),
    (6, missing_key, r"is reached by the links, but the dict has only 6 states"),
    (7, one_way_link, r"state 0x3 .* does not point back to state 0x2"),
    (8, bypass, r"the tree has state 0x3 .* in the place of state 0x4"),
    (8, wrong_parent, r"state 0x1 .* does not know its parent"),
    (8, swapped_children, r"the tree has state 0x"),
    (8, lost_leaf, r"the tree has 6 entries, the ring 7"),
    (9, red_root, r"the root state 0x2 .* is red"),
    (9, red_pair, r"is red and has a red child"),
    (9, uneven, r"paths below the root state 0x2 .* have \[\d, \d\] black nodes"),
    (10, same_ident, r"state 0x1 \[20, 29\] bits 0x1 has the ident of state 0x1 \[0, 9\]"),
]


def test_healthy_trees_pass() -> None:
    healthy().validate()
    ExtentIoTree(LINUX_6_18).validate()


@pytest.mark.parametrize(
    ("number", "break_it", "message"), BROKEN, ids=lambda value: getattr(value, "__name__", "")
)
def test_broken_trees_are_found(number: int, break_it: Callable[[ExtentIoTree], None], message: str) -> None:
    tree = healthy()
    break_it(tree)
    with pytest.raises(InvariantError, match=f"^invariant {number}: .*{message}") as caught:
        tree.validate()
    assert caught.value.number == number


def test_every_invariant_has_a_broken_tree() -> None:
    assert {number for number, _, _ in BROKEN} == set(range(1, 11))


def test_an_unfinished_split_is_no_breach() -> None:
    tree = ExtentIoTree(LINUX_6_18)
    tree.set_extent_bit(0, 99, DIRTY)
    at = tree.set_section(40, 59, DELALLOC)
    with pytest.raises(InvariantError, match=r"^invariant 5"):
        tree.validate()
    tree.validate(unfinished={at})
