# SPDX-License-Identifier: GPL-2.0-or-later
"""Each invariant has an index that was broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reference.index.bplus import BPlusTree
from reference.index.bplus_nodes import BPlusNode
from reference.index.naive import NaiveIndex
from reference.index.radix import RadixTree
from reference.index.radix_nodes import RadixTreeNode
from reference.index.rbtree import RbTree
from reference.index.testing import filled
from reference.rbtree import U64_MAX, InvariantError

Tree = Any
"""One of the classes, with its own attributes."""


# Of every index. `end` of a last entry can grow without disturbing the order.


def beyond_u64(index: Tree) -> None:
    list(index)[-1].end = U64_MAX + 1


def wrong_order(index: Tree) -> None:
    first, second = list(index)[:2]
    first.end, second.end = second.end, first.end


def same_end(index: Tree) -> None:
    first, second = list(index)[:2]
    first.end = second.end


def wrong_length(index: Tree) -> None:
    index.length += 1


# Of red-black trees: 10 to 70, inserted in order.


def longer_ring(tree: Tree) -> None:
    tree.length -= 1


def one_way_link(tree: Tree) -> None:
    tree.lookup(30).prev = tree.lookup(10)


def wrong_parent(tree: Tree) -> None:
    tree.lookup(10).parent = tree.lookup(30)


def swapped_children(tree: Tree) -> None:
    root = tree.anchor.left
    root.left, root.right = root.right, root.left


def lost_leaf(tree: Tree) -> None:
    tree.lookup(60).right = tree.anchor


def red_root(tree: Tree) -> None:
    tree.anchor.left.red = True


def red_pair(tree: Tree) -> None:
    tree.lookup(60).red = True


def uneven(tree: Tree) -> None:
    tree.lookup(10).red = True


# Of radix trees: 10 to 70, which is a node of height 2 with two of height 1.


def wrong_height(tree: Tree) -> None:
    tree.rnode.slots[1].height = 2


def entry_for_node(tree: Tree) -> None:
    tree.rnode.slots[1] = tree.lookup(10)


def node_for_entry(tree: Tree) -> None:
    tree.rnode.slots[0].slots[10] = RadixTreeNode(0)


def unused_slot(tree: Tree) -> None:
    tree.rnode.slots[0].slots[11] = tree.lookup(10)


def no_such_slot(tree: Tree) -> None:
    tree.rnode.slots[0].used |= 1


def empty_node(tree: Tree) -> None:
    node = tree.rnode.slots[1]
    node.slots[6] = None
    node.used = 0


def wrong_slot(tree: Tree) -> None:
    node = tree.rnode.slots[1]
    node.slots[7], node.slots[6] = node.slots[6], None
    node.used <<= 1


def too_high(tree: Tree) -> None:
    tree.rnode.slots[1] = None
    tree.rnode.used = 1
    tree.length -= 1


def height_of_nothing(tree: Tree) -> None:
    tree.rnode = None
    tree.length = 0


# Of B+trees: 20 entries, from 10 to 200, in two leaves.


def rootless(tree: Tree) -> None:
    tree.root = None


def deep_entry(tree: Tree) -> None:
    tree.root.items[1] = tree.lookup(10)


def shallow_node(tree: Tree) -> None:
    tree.root.items[1].items[0] = BPlusNode([], [])


def missing_item(tree: Tree) -> None:
    tree.root.items[0].items.pop()


def underfull(tree: Tree) -> None:
    leaf = tree.root.items[0]
    del leaf.keys[1:2], leaf.items[1:2]
    tree.length -= 1


def overfull(tree: Tree) -> None:
    left, right = tree.root.items
    left.keys += right.keys
    left.items += right.items


def lone_child(tree: Tree) -> None:
    del tree.root.keys[1], tree.root.items[1]


def loose_key(tree: Tree) -> None:
    tree.root.keys[1] -= 1


def stale_key(tree: Tree) -> None:
    tree.root.items[0].items[3].end += 1


Break = Callable[[Tree], None]
BROKEN: dict[type[Tree], list[tuple[int, Break, str]]] = {
    NaiveIndex: [
        (1, beyond_u64, r"extent \[70, 18446744073709551616\] does not end at an offset"),
        (2, wrong_order, r"extent \[20, 10\] comes after extent \[10, 20\]"),
        (2, same_end, r"extent \[20, 20\] comes after extent \[10, 20\]"),
    ],
    RbTree: [
        (1, beyond_u64, r"extent \[70, 18446744073709551616\] does not end at an offset"),
        (2, wrong_order, r"extent \[20, 10\] comes after extent \[10, 20\]"),
        (2, same_end, r"extent \[20, 20\] comes after extent \[10, 20\]"),
        (3, wrong_length, r"there are 7 entries, the length is 8"),
        (3, longer_ring, r"the ring goes on after extent \[70, 70\], the length is 6"),
        (4, one_way_link, r"extent \[30, 30\] does not point back to extent \[20, 20\]"),
        (5, wrong_parent, r"extent \[10, 10\] does not know its parent extent \[20, 20\]"),
        (5, swapped_children, r"the tree has extent \[30, 30\] in the place of extent \[10, 10\]"),
        (5, lost_leaf, r"the tree has 6 entries, the ring 7"),
        (6, red_root, r"the root extent \[20, 20\] is red"),
        (6, red_pair, r"extent \[40, 40\] is red and has a red child"),
        (6, uneven, r"paths below the root extent \[20, 20\] have \[1, 2\] black nodes"),
    ],
    RadixTree: [
        (3, wrong_length, r"there are 7 entries, the length is 8"),
        (4, wrong_height, r"node of height 2 .* is in the place of a node of height 1"),
        (4, entry_for_node, r"extent \[10, 10\] is in the place of a node of height 1"),
        (4, node_for_entry, r"node of height 0 .* is in the place of an entry"),
        (5, unused_slot, r"node of height 1 .* has entries or nodes in 0x"),
        (5, no_such_slot, r"node of height 1 .* has entries or nodes in 0x"),
        (6, empty_node, r"node of height 1 with slots 0x0 is empty"),
        (7, wrong_slot, r"extent \[70, 70\] is in the slot of 71"),
        (7, same_end, r"extent \[10, 20\] is in the slot of 10"),
        (8, too_high, r"the tree has height 2, but only its first slot is used"),
        (8, height_of_nothing, r"the tree has height 2, but only its first slot is used"),
    ],
    BPlusTree: [
        (3, wrong_length, r"there are 20 entries, the length is 21"),
        (4, rootless, r"the root is None, the height 2"),
        (4, deep_entry, r"extent \[10, 10\] is in a node of height 2"),
        (4, shallow_node, r"node with keys \[\] is in a node of height 1"),
        (5, missing_item, r"node with keys \[10, .* has 7 items"),
        (5, underfull, r"node with keys \[10, 30, .* has not between 8 and 16 items"),
        (5, overfull, r"node with keys \[10, .* has not between 8 and 16 items"),
        (5, lone_child, r"node with keys \[10\] has not between 2 and 16 items"),
        (6, loose_key, r"node with keys \[90, .* has the key 89"),
        (6, stale_key, r"extent \[40, 41\] has the key 40"),
    ],
}
NUMBERS = {
    NaiveIndex: {1, 2},
    RbTree: set(range(1, 7)),
    RadixTree: set(range(3, 9)),
    BPlusTree: set(range(3, 7)),
}
"""What can be broken alone: where an end decides the place, 7 or 6 is broken before 1 and 2."""


def healthy(cls: type[Tree]) -> Tree:
    return filled(cls, list(range(10, 210 if cls is BPlusTree else 71, 10)))


@pytest.mark.parametrize("cls", BROKEN)
def test_healthy_indexes_pass(cls: type[Tree]) -> None:
    healthy(cls).validate()


@pytest.mark.parametrize(
    ("cls", "number", "break_it", "message"),
    [(cls, *row) for cls, rows in BROKEN.items() for row in rows],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_broken_indexes_are_found(cls: type[Tree], number: int, break_it: Break, message: str) -> None:
    index = healthy(cls)
    break_it(index)
    with pytest.raises(InvariantError, match=f"^invariant {number}: .*{message}") as caught:
        index.validate()
    assert caught.value.number == number


@pytest.mark.parametrize("cls", BROKEN)
def test_every_invariant_has_a_broken_index(cls: type[Tree]) -> None:
    assert {number for number, _, _ in BROKEN[cls]} == NUMBERS[cls]
