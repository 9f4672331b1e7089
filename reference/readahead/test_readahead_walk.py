# SPDX-License-Identifier: GPL-2.0-or-later
"""The traditional walk: the same blocks as a readahead, in order of keys, and where it ends."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reference.readahead.naive import blocks_to_read
from reference.readahead.source import MAX_KEY, MIN_KEY, Node
from reference.readahead.testing import NODESIZE, Blocks, key
from reference.readahead.walk import walk


def test_nodes_come_before_what_is_below_them_and_leaves_in_order() -> None:
    source = Blocks([(1,)], 16)
    root = source.grow(5, 2, [1, 2, 3, 4, 5, 11, 12, 13, 21, 22, 31])
    walked = [node.bytenr // NODESIZE for node in walk(source, root.bytenr)]
    assert walked == [31, 21, 11, 1, 2, 12, 3, 4, 22, 13, 5]


def test_it_reads_the_leaf_that_tells_where_the_range_ends() -> None:
    source = Blocks([(1,)], 16)
    root = source.grow(4, 4, [1, 2, 3, 4, 0])
    assert [node.bytenr // NODESIZE for node in walk(source, root.bytenr, key(10), key(20))] == [0, 2, 3]
    assert [node.bytenr // NODESIZE for node in walk(source, root.bytenr, key(15), key(15))] == [0, 2, 3]


def test_an_item_behind_the_range_ends_it() -> None:
    source = Blocks([(1,)], 16)
    root = source.grow(2, 2, [1, 2, 0])
    source.nodes[NODESIZE] = Node(NODESIZE, 0, 5, keys=[key(0), key(7)])
    assert [node.bytenr // NODESIZE for node in walk(source, root.bytenr, key(0), key(7))] == [0, 1]
    assert [node.bytenr // NODESIZE for node in walk(source, root.bytenr, key(0), key(8))] == [0, 1, 2]


def test_a_root_that_is_a_leaf() -> None:
    source = Blocks([(1,)], 16)
    root = source.grow(1, 2, [7])
    assert [node.bytenr // NODESIZE for node in walk(source, root.bytenr)] == [7]


def test_a_block_that_fails_need_not_be_readable() -> None:
    source = Blocks([(1,)], 16)
    root = source.grow(4, 2, [1, 2, 3, 4, 5, 6, 0])
    node = source.nodes[root.bytenr].blockptrs[0]
    below = set(source.nodes.pop(node).blockptrs)
    found = blocks_to_read(source, root, MIN_KEY, MAX_KEY, failing={node})
    assert set(found) == (source.nodes.keys() | {node}) - below


@settings(deadline=None, database=None)
@given(
    leaves=st.integers(1, 40),
    fanout=st.integers(2, 6),
    start=st.integers(0, 420),
    length=st.integers(1, 420),
    places=st.permutations(range(128)),
)
def test_it_reads_what_a_readahead_reads_and_the_way_to_one_leaf_more(
    leaves: int, fanout: int, start: int, length: int, places: list[int]
) -> None:
    source = Blocks([(1,)], 128)
    root = source.grow(leaves, fanout, places)
    walked = [node.bytenr for node in walk(source, root.bytenr, key(start), key(start + length))]
    expected = blocks_to_read(source, root, key(start), key(start + length))
    assert len(set(walked)) == len(walked)
    # The root is read for any range; the walk's search goes down to a leaf in any case.
    more = walked[len(expected) :]
    assert sorted(walked[: len(expected)]) == sorted(expected)
    assert len(more) <= source.nodes[root.bytenr].level
    whole = [node.bytenr for node in walk(source, root.bytenr)]
    assert sorted(whole) == sorted(blocks_to_read(source, root, MIN_KEY, MAX_KEY)) == sorted(source.nodes)
