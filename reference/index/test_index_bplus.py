# SPDX-License-Identifier: GPL-2.0-or-later
"""The B+tree: where it splits, borrows and joins, and what readers can see change."""

from __future__ import annotations

import random

import pytest

from reference.index.bplus import BPlusTree
from reference.index.bplus_nodes import BPlusNode
from reference.index.testing import KEYS, Twins
from reference.rbtree import Extent


def with_ends(ends: list[int]) -> BPlusTree[Extent]:
    tree: BPlusTree[Extent] = BPlusTree()
    for end in ends:
        tree.insert(Extent(end, end))
    return tree


def leaves(tree: BPlusTree[Extent]) -> list[list[int]]:
    return [node.keys for node, height in tree.nodes() if height == 1]


TENS = list(range(10, 170, 10))


@pytest.mark.parametrize(
    ("end", "sizes"), [(5, [9, 8]), (75, [9, 8]), (85, [8, 9]), (95, [8, 9]), (165, [8, 9])]
)
def test_the_half_that_gets_the_new_entry_is_larger(end: int, sizes: list[int]) -> None:
    tree = with_ends([*TENS, end])
    assert [len(keys) for keys in leaves(tree)] == sizes
    tree.validate()


@pytest.mark.parametrize(("number", "sizes"), [(6, [9, 8]), (7, [8, 9])])
def test_the_half_that_gets_the_new_child_is_larger(number: int, sizes: list[int]) -> None:
    """16 leaves of 8, the last larger; leaf `number` is filled until it splits, and with it the root."""
    tree = with_ends(list(range(0, 10 * (15 * 8 + 16), 10)))
    assert (tree.height, len(leaves(tree))) == (2, 16)
    for end in range(9):
        tree.insert(Extent(0, number * 80 + 1 + end))
    assert tree.height == 3
    assert [len(node.keys) for node, height in tree.nodes() if height == 2] == sizes
    tree.validate()


def test_borrows_half_of_the_surplus_from_the_left() -> None:
    tree = with_ends([*TENS, 165, 1, 2, 3])
    assert [len(keys) for keys in leaves(tree)] == [11, 9]
    tree.delete(160)
    tree.delete(165)
    assert [len(keys) for keys in leaves(tree)] == [9, 9]
    tree.validate()


def test_borrows_from_the_right_when_there_is_no_left() -> None:
    tree = with_ends([*TENS, 165, 166, 167, 168])
    assert [len(keys) for keys in leaves(tree)] == [8, 12]
    tree.delete(10)
    assert [len(keys) for keys in leaves(tree)] == [9, 10]
    tree.validate()


@pytest.mark.parametrize("end", [10, 80, 90, 160])
def test_joins_when_neither_can_lend(end: int) -> None:
    tree = with_ends([*TENS, 165])
    tree.delete(165)
    tree.delete(end)
    assert (tree.height, leaves(tree)) == (1, [[ten for ten in TENS if ten != end]])
    tree.validate()


def test_joins_the_left_before_the_right() -> None:
    tree = with_ends(list(range(1, 26)))
    assert [len(keys) for keys in leaves(tree)] == [8, 8, 9]
    tree.delete(25)
    tree.delete(12)
    assert [len(keys) for keys in leaves(tree)] == [15, 8]
    tree.validate()


def test_grows_and_shrinks_by_levels() -> None:
    tree = with_ends(list(range(3000)))
    assert tree.height == 4
    tree.validate()
    for end in range(2999):
        tree.delete(end)
    assert (tree.height, leaves(tree)) == (1, [[2999]])
    tree.delete(2999)
    assert (tree.height, tree.root) == (0, None)
    tree.validate()


def test_readers_see_no_node_change_but_in_one_pointer_and_one_key() -> None:
    rng = random.Random(9)
    tree: BPlusTree[Extent] = BPlusTree()
    twins = Twins(tree)
    stores = 0
    for number in range(2_000):
        before = [(node, node.keys[:], node.items[:]) for node, _ in tree.nodes()]
        twins.random_step(rng, KEYS["dense"], growing=number % 1_000 < 700)
        for node, keys, items in before:
            stores += one_store(node, keys, items)
    assert tree.height > 2
    assert stores > 500


def one_store(node: BPlusNode, keys: list[int], items: list[object]) -> bool:
    """Tell whether `node` differs from what it was, which it may in one pointer and the key of one item."""
    assert (len(node.keys), len(node.items)) == (len(keys), len(items))
    changed_keys = sum(map(int.__ne__, keys, node.keys))
    changed_items = sum(old is not new for old, new in zip(items, node.items, strict=True))
    assert changed_keys <= 1
    assert changed_items <= 1
    return bool(changed_keys or changed_items)
