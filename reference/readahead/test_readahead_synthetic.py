# SPDX-License-Identifier: GPL-2.0-or-later
"""Synthetic trees: whole, unambiguous, aged as asked, and computed from nothing but their shape."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.readahead.behaviour import Behaviour
from reference.readahead.chunks import ChunkMap, Profile
from reference.readahead.engine import Readahead
from reference.readahead.naive import blocks_to_read
from reference.readahead.permutation import Permutation
from reference.readahead.source import MAX_KEY, MIN_KEY, Stripe
from reference.readahead.synthetic import Forest, SyntheticTree, TreeShape
from reference.readahead.testing import Keeper
from reference.readahead.walk import walk

CHUNKS = ChunkMap(chunk_bytes=1 << 20, data_bytes=3 << 20)
SHAPES = st.builds(
    TreeShape,
    leaves=st.integers(1, 600),
    fanout=st.integers(2, 40),
    seed=st.integers(0, 5),
    aged=st.sampled_from((0, 0.1, 0.5, 1)),
    run=st.integers(1, 9),
    transactions=st.integers(1, 30),
)


@given(size=st.integers(1, 3000), seed=st.integers(0, 1 << 40))
@settings(max_examples=60, deadline=None, database=None)
def test_a_permutation_has_every_number_once_and_can_be_undone(size: int, seed: int) -> None:
    shuffled = Permutation(size, seed)
    places = [shuffled.place(number) for number in range(size)]
    assert sorted(places) == list(range(size))
    assert [shuffled.number(place) for place in places] == list(range(size))


@given(shape=SHAPES)
@settings(max_examples=60, deadline=None, database=None)
def test_every_block_is_found_where_its_parent_says(shape: TreeShape) -> None:
    tree = SyntheticTree(shape, CHUNKS)
    found = [(node.bytenr, node.generation) for node in walk(tree, tree.root.bytenr)]
    assert len({bytenr for bytenr, _ in found}) == len(found) == tree.nodes
    assert sorted(bytenr for bytenr, _ in found) == sorted(blocks_to_read(tree, tree.root, MIN_KEY, MAX_KEY))
    where = {tree.bytenr(level, index) for level, count in enumerate(tree.levels) for index in range(count)}
    assert where == {bytenr for bytenr, _ in found}


@given(shape=SHAPES)
@settings(max_examples=40, deadline=None, database=None)
def test_a_node_is_as_young_as_the_youngest_below_it(shape: TreeShape) -> None:
    tree = SyntheticTree(shape, CHUNKS)
    for level in range(1, len(tree.levels)):
        for index in range(tree.levels[level]):
            node = tree.node(tree.bytenr(level, index))
            assert node.generation == max(node.ptr_generations)
            assert list(node.keys) == sorted(node.keys)
            assert [tree.node(child).generation for child in node.blockptrs] == list(node.ptr_generations)


@given(shape=SHAPES)
@settings(max_examples=30, deadline=None, database=None)
def test_a_hole_is_no_block(shape: TreeShape) -> None:
    tree = SyntheticTree(shape, CHUNKS)
    blocks = 0
    for block in range(tree.blocks):
        try:
            blocks += tree.node(CHUNKS.bytenr(block)).bytenr == CHUNKS.bytenr(block)
        except KeyError:
            continue
    assert blocks == tree.nodes
    for nowhere in (CHUNKS.bytenr(tree.blocks), CHUNKS.bytenr(0) + 1, 0):
        with pytest.raises(KeyError):
            tree.node(nowhere)


def test_a_fresh_tree_lies_in_order_and_an_old_one_does_not() -> None:
    def steps(aged: float) -> float:
        tree = SyntheticTree(TreeShape(leaves=5000, fanout=100, aged=aged), CHUNKS)
        leaves = [tree.bytenr(0, index) // CHUNKS.nodesize for index in range(5000)]
        return sum(after == before + 1 for before, after in pairwise(leaves)) / 5000

    assert steps(0) > 0.98
    assert 0.7 < steps(1) < 0.8
    assert steps(0) > steps(0.2) > steps(0.5)


def test_leaves_that_one_transaction_wrote_lie_together() -> None:
    shape = TreeShape(leaves=20_000, fanout=100, aged=0.5, transactions=10)
    tree = SyntheticTree(shape, CHUNKS)
    areas: dict[int, list[int]] = {}
    for index in range(shape.leaves):
        areas.setdefault(tree.generation(0, index), []).append(tree.bytenr(0, index))
    assert sorted(areas) == list(range(1, 12))
    assert 0.45 < len(areas[1]) / shape.leaves < 0.55
    for older, younger in pairwise(sorted(areas)):
        assert max(areas[older]) < min(areas[younger])


def test_ten_million_nodes_need_no_memory_to_speak_of() -> None:
    tracemalloc.start()
    tree = SyntheticTree(TreeShape(leaves=10_000_000), ChunkMap(Profile.RAID1, 6, chunk_bytes=192 << 20))
    assert tree.nodes > 10_000_000
    bytenr = tree.bytenr(0, 7_654_321)
    assert tree.node(bytenr).bytenr == bytenr
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_seed_makes_one_tree() -> None:
    def leaves(seed: int) -> list[int]:
        tree = SyntheticTree(TreeShape(leaves=300, fanout=20, seed=seed), CHUNKS)
        return [node.bytenr for node in walk(tree, tree.root.bytenr)]

    assert leaves(3) == leaves(3)
    assert leaves(3) != leaves(4)


@pytest.mark.parametrize(
    ("profile", "devices"),
    [
        (Profile.SINGLE, 3),
        (Profile.DUP, 2),
        (Profile.RAID0, 4),
        (Profile.RAID1, 3),
        (Profile.RAID1C3, 4),
        (Profile.RAID10, 4),
    ],
)
def test_copies_lie_apart_and_each_place_holds_one_block(profile: Profile, devices: int) -> None:
    chunks = ChunkMap(profile, devices, nodesize=16 << 10, chunk_bytes=64 * devices << 10, data_bytes=1 << 20)
    places: list[Stripe] = []
    for block in range(chunks.blocks_per_chunk * 12):
        logical = chunks.bytenr(block)
        assert chunks.block(logical) == block
        mapping = chunks.map_block(logical)
        assert mapping is not None
        assert mapping.length >= chunks.nodesize
        group = chunks.lookup_block_group(logical)
        assert group is not None
        assert group.start <= logical < group.start + group.length
        devids = {stripe.devid for stripe in mapping.stripes}
        assert len(mapping.stripes) == profile.copies
        assert len(devids) == (1 if profile is Profile.DUP else profile.copies)
        assert devids <= set(range(1, devices + 1))
        places += mapping.stripes
    assert len(set(places)) == len(places)
    assert chunks.map_block(0) is None
    assert chunks.lookup_block_group(0) is None


def test_a_forest_has_all_its_trees_blocks() -> None:
    forest = Forest([TreeShape(leaves=100, fanout=9), TreeShape(leaves=70, fanout=9, seed=2)], CHUNKS)
    walked = [[node.bytenr for node in walk(forest, tree.root.bytenr)] for tree in forest.trees]
    assert [len(blocks) for blocks in walked] == [tree.nodes for tree in forest.trees]
    assert not set(walked[0]) & set(walked[1])
    with pytest.raises(KeyError):
        forest.node(1)


@pytest.mark.parametrize("behaviour", [Behaviour.linux_5_10, Behaviour.seed_2011], ids=lambda b: b.name)
def test_two_trees_are_read_in_common_sweeps(behaviour: Behaviour) -> None:
    """Turning back is what costs: rarer than in a walk, and no more frequent than for one tree at a time."""
    chunks = ChunkMap(chunk_bytes=64 << 20, data_bytes=0)
    forest = Forest([TreeShape(leaves=400, fanout=100), TreeShape(leaves=400, fanout=100, seed=2)], chunks)

    def turns(*groups: list[SyntheticTree]) -> int:
        keeper = Keeper()
        readahead = Readahead(forest, [1], behaviour, observer=keeper)
        for group in groups:
            for control in [readahead.add(tree.root) for tree in group]:
                assert control is not None
                readahead.wait(control)
        readahead.validate()
        return turned_back([block for _, block, _ in keeper.reads])

    one, other = forest.trees
    walked = [node.bytenr for tree in forest.trees for node in walk(forest, tree.root.bytenr)]
    assert turns([one, other]) <= turns([one], [other])
    assert turns([one], [other]) * 10 < turned_back(walked)


def turned_back(blocks: list[int]) -> int:
    return sum(after < before for before, after in pairwise(blocks))


@pytest.mark.parametrize(
    "wrong",
    [
        {"leaves": 0},
        {"leaves": 1, "fanout": 1},
        {"leaves": 1, "run": 0},
        {"leaves": 1, "transactions": 0},
        {"leaves": 1, "aged": 1.5},
    ],
)
def test_a_shape_that_is_none_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"needs a leaf|aged is a share"):
        TreeShape(**wrong)


@pytest.mark.parametrize(
    ("profile", "devices", "chunk_bytes"),
    [(Profile.RAID1, 1, 1 << 20), (Profile.RAID10, 3, 3 << 20), (Profile.SINGLE, 3, 1 << 20)],
)
def test_chunks_that_cannot_be_are_refused(profile: Profile, devices: int, chunk_bytes: int) -> None:
    with pytest.raises(ValueError, match=r"needs|multiple"):
        ChunkMap(profile, devices, chunk_bytes=chunk_bytes)
