# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees as arrays: what `grow` makes at once is what `flatten` finds block by block."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.readahead.chunks import ChunkMap, Profile
from reference.readahead.scale.grow import grow
from reference.readahead.scale.trees import NONE, flatten
from reference.readahead.source import Root
from reference.readahead.synthetic import Forest, SyntheticTree, TreeShape
from reference.readahead.testing import Blocks

CHUNKS = st.tuples(st.sampled_from(Profile), st.integers(1, 3)).map(
    lambda drawn: ChunkMap(
        drawn[0],
        (devices := 2 * drawn[1] if drawn[0] is Profile.RAID10 else drawn[1] + drawn[0].copies),
        nodesize=16 << 10,
        chunk_bytes=128 * devices << 10,
        data_bytes=drawn[1] << 20,
    )
)
SHAPES = st.builds(
    TreeShape,
    leaves=st.integers(1, 200),
    fanout=st.integers(2, 20),
    seed=st.integers(0, 5),
    aged=st.sampled_from((0, 0.1, 0.5, 1)),
    run=st.integers(1, 9),
    transactions=st.integers(1, 30),
)


@given(shapes=st.lists(SHAPES, min_size=1, max_size=3), chunks=CHUNKS)
@settings(max_examples=80, deadline=None, database=None)
def test_all_at_once_is_block_by_block(shapes: list[TreeShape], chunks: ChunkMap) -> None:
    forest = Forest(shapes, chunks)
    roots = [tree.root for tree in forest.trees]
    flat = flatten(forest, roots, range(1, chunks.devices + 1))
    for name, at_once, by_block in zip(flat._fields, grow(forest.trees, chunks), flat, strict=True):
        if name not in ("first_child", "child", "believed"):
            np.testing.assert_array_equal(at_once, by_block, err_msg=name, strict=True)
    grown = grow(forest.trees, chunks)
    for block, count in enumerate(flat.children):
        of = (slice(first, first + count) for first in (grown.first_child[block], flat.first_child[block]))
        at_once, by_block = of
        assert list(grown.child[at_once]) == list(flat.child[by_block])
        assert list(grown.believed[at_once]) == list(flat.believed[by_block])


def test_what_cannot_be_read_ahead_is_marked() -> None:
    source = Blocks([(1, 2), (), (2,)], blocks_per_group=4)
    root = source.grow(leaves=4, fanout=4, places=[0, 5, 9, 10, 11], stale=[9])
    flat = flatten(source, [root], [1, 2])
    assert flat.device.tolist() == [[0, 1], [NONE, NONE], [1, NONE], [1, NONE], [1, NONE]]
    assert flat.group.tolist() == [0, 1, 2, 2, 2]
    assert flat.believed.tolist() == [1, 1, 0, 1]
    assert flat.root_believed.tolist() == [1]
    assert flatten(source, [Root(root.bytenr, 99)], [1, 2]).root_believed.tolist() == [0]
    outside = source.grow(leaves=1, fanout=2, places=[12])
    assert flatten(source, [outside], [1, 2]).group.tolist() == [NONE]


def test_a_block_with_two_parents_is_refused() -> None:
    source = Blocks([(1,)])
    root = source.grow(leaves=4, fanout=2, places=range(7))
    node = source.nodes[root.bytenr]
    source.nodes[root.bytenr] = replace(node, blockptrs=[node.blockptrs[0]] * 2)
    with pytest.raises(ValueError, match="two parents"):
        flatten(source, [root], [1])


def test_one_tree_is_as_good_as_several() -> None:
    chunks = ChunkMap(chunk_bytes=1 << 20)
    tree = SyntheticTree(TreeShape(leaves=30, fanout=4), chunks)
    assert grow([tree], chunks).logical[grow([tree], chunks).root[0]] == tree.root.bytenr
