# SPDX-License-Identifier: GPL-2.0-or-later
"""The radix tree of 2.6.22: its height, and insertion where nodes are short."""

from __future__ import annotations

from errno import ENOMEM

import pytest

from reference.index.radix import RadixTree
from reference.index.radix_nodes import RADIX_TREE_MAX_PATH, NodeSupply, OutOfNodesError
from reference.rbtree import U64_MAX, Extent


def with_ends(*ends: int) -> RadixTree[Extent]:
    tree: RadixTree[Extent] = RadixTree()
    for end in ends:
        tree.insert(Extent(end, end))
    return tree


@pytest.mark.parametrize(
    ("end", "height"),
    [(0, 0), (1, 1), (63, 1), (64, 2), (4095, 2), (4096, 3), (64**10 - 1, 10), (64**10, 11), (U64_MAX, 11)],
)
def test_height_is_what_the_greatest_end_needs(end: int, height: int) -> None:
    tree = with_ends(end)
    assert tree.height == height
    tree.insert(Extent(0, 0))
    assert tree.height == height
    tree.validate()


def test_lone_end_0_is_the_top_itself() -> None:
    tree = with_ends(0)
    assert isinstance(tree.rnode, Extent)
    assert (list(tree.nodes()), len(tree)) == ([], 1)


def test_shrinks_only_to_the_first_slot() -> None:
    tree = with_ends(0, 70, U64_MAX)
    tree.delete(U64_MAX)
    assert tree.height == 2
    tree.delete(0)
    assert tree.height == 2
    tree.delete(70)
    assert (tree.height, tree.rnode) == (0, None)


def test_does_not_shrink_to_another_slot() -> None:
    tree = with_ends(4095, 4094, 0)
    tree.delete(0)
    assert tree.height == 2
    tree.validate()


def test_shrinks_to_an_entry_on_top() -> None:
    tree = with_ends(0, 5)
    tree.delete(5)
    assert tree.height == 0
    assert tree.rnode is tree.lookup(0)


# Nodes.


def test_preload_fills_this_cpu_and_turns_preemption_off() -> None:
    supply = NodeSupply(cpus=2)
    supply.cpu = 1
    assert supply.radix_tree_preload() == 0
    assert (supply.preloads, supply.preempt_count) == ([0, RADIX_TREE_MAX_PATH], 1)
    supply.radix_tree_preload_end()
    assert (supply.preloads, supply.preempt_count) == ([0, RADIX_TREE_MAX_PATH], 0)


def test_preload_that_fails_leaves_preemption_on() -> None:
    supply = NodeSupply()
    supply.slab_empty = True
    assert supply.radix_tree_preload() == -ENOMEM
    assert supply.preempt_count == 0


def test_preloaded_nodes_are_used_only_when_the_slab_is_empty() -> None:
    supply = NodeSupply()
    supply.radix_tree_preload()
    tree: RadixTree[Extent] = RadixTree(supply)
    tree.insert(Extent(0, 63))
    assert supply.preloads == [12]
    supply.slab_empty = True
    tree.insert(Extent(64, 4095))
    assert supply.preloads == [12 - 2]
    assert supply.radix_tree_preload() == -ENOMEM


def test_preloaded_nodes_of_another_cpu_do_not_help() -> None:
    supply = NodeSupply(cpus=2)
    supply.radix_tree_preload()
    supply.cpu, supply.slab_empty = 1, True
    with pytest.raises(OutOfNodesError, match="no radix tree node is left: -ENOMEM"):
        RadixTree[Extent](supply).insert(Extent(0, 1))


def test_a_failed_insertion_leaves_an_empty_branch() -> None:
    supply = NodeSupply()
    supply.slab_empty, supply.preloads = True, [1]
    tree: RadixTree[Extent] = RadixTree(supply)
    with pytest.raises(OutOfNodesError):
        tree.insert(Extent(0, 4095))
    assert (tree.height, tree.rnode.used, len(tree)) == (2, 0, 0)
    tree.validate()
    assert tree.search(0) is None
    assert tree.lookup(4095) is None
    assert tree.delete(4095) is None
    supply.slab_empty = False
    assert tree.insert(Extent(0, 4095)) is None
    tree.validate()
    assert [entry.end for entry in tree] == [4095]


def test_a_failed_extension_leaves_the_entries_where_they_are_found() -> None:
    supply = NodeSupply()
    supply.slab_empty, supply.preloads = True, [2]
    tree: RadixTree[Extent] = RadixTree(supply)
    tree.insert(Extent(0, 63))
    with pytest.raises(OutOfNodesError):
        tree.insert(Extent(64, U64_MAX))
    assert tree.height == 2
    tree.validate()
    assert [entry.end for entry in tree] == [63]
    assert tree.lookup(63) is tree.search(0)


def test_preloading_does_not_suffice_for_the_worst_insertion() -> None:
    """Up from a lone end 0 to height 11, and down again by another way: 21 nodes, 12 are preloaded."""
    supply = NodeSupply()
    tree: RadixTree[Extent] = RadixTree(supply)
    tree.insert(Extent(0, 0))
    assert supply.radix_tree_preload() == 0
    supply.slab_empty = True
    with pytest.raises(OutOfNodesError):
        tree.insert(Extent(1, U64_MAX))
    assert supply.preloads == [0]
    tree.validate()
    supply.preloads = [21 - 12]
    assert tree.insert(Extent(1, U64_MAX)) is None
    assert supply.preloads == [0]
    tree.validate()
