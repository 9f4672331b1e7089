# SPDX-License-Identifier: GPL-2.0-or-later
"""Synthetic trees of any size, of which nothing is stored: each block is computed when it is read.

How they age. A fresh tree is written in order of keys: level by level, each block behind the one before.
Then come transactions. Each rewrites some groups of neighbouring leaves (`run` leaves each) elsewhere, as
copy on write does, in an area of its own behind the areas of those before it; and with them all nodes above.
So an old leaf lies where it was written first, between holes; a young one among those that the same
transaction rewrote, from all over the tree; and a node was rewritten by the youngest transaction below it.

Two simplifications, which make it computable. No hole is filled again. A rewritten node of level 1 and up
lies in a random area, not in that of its own transaction; the generations are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from reference.readahead.chunks import ChunkMap
from reference.readahead.permutation import Permutation, scramble
from reference.readahead.source import MAX_KEY, BlockGroup, Key, Mapping, Node, Root

__all__ = ["Forest", "SyntheticTree", "TreeShape"]

_KEY_TYPE = 168
"""BTRFS_EXTENT_ITEM_KEY."""
_NODES_KEPT = 4096
"""Nodes of levels 1 and up that are kept once computed; each is asked for a few times."""


@dataclass(frozen=True)
class TreeShape:
    """What a synthetic tree looks like."""

    leaves: int
    fanout: int = 330
    """Children of a node: two thirds of the 493 that fit 16 KiB, as in a tree built by random insertion."""
    seed: int = 1
    aged: float = 0.5
    """The share of leaves that were rewritten, 0 to 1."""
    run: int = 4
    """How many neighbouring leaves are rewritten together."""
    transactions: int = 100
    """How many transactions rewrote leaves."""
    step: int = 200 << 14
    """How far the first keys of two neighbouring leaves are apart: 200 extents of 16 KiB."""
    first_block: int = 0
    """The first block of metadata that is the tree's; several trees lie one behind the other."""

    def __post_init__(self) -> None:
        if self.leaves < 1 or self.fanout < 2 or self.run < 1 or self.transactions < 1:
            raise ValueError("a tree needs a leaf, a fanout of 2, runs of a leaf and a transaction at least")
        if not 0 <= self.aged <= 1:
            raise ValueError(f"aged is a share, 0 to 1, not {self.aged}")


class SyntheticTree:
    """A tree of `shape` in the chunks of `chunks` (`Source`).

    >>> tree = SyntheticTree(TreeShape(leaves=9, fanout=3, aged=0), ChunkMap(data_bytes=0))
    >>> tree.nodes, tree.root
    (13, Root(bytenr=196608, generation=1))
    >>> tree.node(tree.root.bytenr).blockptrs
    (147456, 163840, 180224)
    """

    def __init__(self, shape: TreeShape, chunks: ChunkMap) -> None:
        self.shape = shape
        self.chunks = chunks
        self.nodesize = chunks.nodesize
        self.levels = [shape.leaves]
        """Blocks of each level, leaves first."""
        while self.levels[-1] > 1:
            self.levels.append(-(-self.levels[-1] // shape.fanout))
        self.nodes = sum(self.levels)
        """Blocks of the tree."""
        self.before = [sum(self.levels[:level]) for level in range(len(self.levels) + 1)]
        """Blocks of the levels below each level."""
        self.groups = Permutation(-(-shape.leaves // shape.run), shape.seed)
        """Groups of neighbouring leaves, by their place among all that can be rewritten."""
        self.inner = Permutation(max(1, self.nodes - shape.leaves), shape.seed + 1)
        """The same for nodes of levels 1 and up."""
        self.threshold = int(shape.aged * 2**64)
        """A group was rewritten if what `scramble` makes of its number is below this."""
        # An area is laid out for the groups and the inner nodes that fall to one transaction.
        self.area_groups = -(-self.groups.size // shape.transactions)
        self.area_inner = -(-self.inner.size // shape.transactions)
        self.area = self.area_groups * shape.run + self.area_inner
        """Blocks of an area: those of `area_groups` groups, then `area_inner` nodes."""
        self._kept = lru_cache(_NODES_KEPT)(self._make)
        self._youngest_below = lru_cache(_NODES_KEPT)(self._youngest)

    @property
    def blocks(self) -> int:
        """Blocks of metadata that the tree lies in, holes included."""
        return self.nodes + self.area * self.shape.transactions

    @property
    def root(self) -> Root:
        """The root, for `btrfs_reada_add`."""
        top = len(self.levels) - 1
        return Root(self.bytenr(top, 0), self.generation(top, 0))

    def first_key(self, level: int, index: int) -> Key:
        """Return the first key of block `index` of `level`; MAX_KEY behind the last."""
        leaf = index * self.shape.fanout**level
        return MAX_KEY if leaf >= self.shape.leaves else Key(leaf * self.shape.step, _KEY_TYPE, 0)

    def generation(self, level: int, index: int) -> int:
        """Return the transaction that wrote block `index` of `level` last; the fresh tree is of 1."""
        if level:
            return self._youngest_below(level, index)
        group = index // self.shape.run
        if scramble(group, self.shape.seed + 2) >= self.threshold:
            return 1
        return 2 + self.groups.place(group) // self.area_groups

    def bytenr(self, level: int, index: int) -> int:
        """Return the logical address of block `index` of `level`."""
        return self.chunks.bytenr(self.shape.first_block + self._block(level, index))

    def node(self, bytenr: int) -> Node:
        """Return the block at `bytenr`; KeyError if there is none."""
        level, index = self._at(self.chunks.block(bytenr) - self.shape.first_block, bytenr)
        if level:
            return self._kept(level, index)
        return Node(bytenr, 0, self.generation(0, index))

    def map_block(self, logical: int) -> Mapping | None:
        """Return where the copies are (`Source`)."""
        return self.chunks.map_block(logical)

    def lookup_block_group(self, logical: int) -> BlockGroup | None:
        """Return the block group (`Source`)."""
        return self.chunks.lookup_block_group(logical)

    def _block(self, level: int, index: int) -> int:
        generation = self.generation(level, index)
        if generation == 1:
            return self.before[level] + index
        if level == 0:
            group, within = divmod(index, self.shape.run)
            area, place = divmod(self.groups.place(group), self.area_groups)
            return self.nodes + area * self.area + place * self.shape.run + within
        inner = self.inner.place(self.before[level] - self.shape.leaves + index)
        area, place = divmod(inner, self.area_inner)
        return self.nodes + area * self.area + self.area_groups * self.shape.run + place

    def _at(self, block: int, bytenr: int) -> tuple[int, int]:
        """Return level and index of what is at `block`; KeyError(bytenr) for a hole."""
        if 0 <= block < self.blocks:
            level, index = self._fresh(block) if block < self.nodes else self._rewritten(block - self.nodes)
            in_tree = level >= 0 and index < self.levels[level]
            if in_tree and self._block(level, index) == block:
                return level, index
        raise KeyError(bytenr)

    def _fresh(self, block: int) -> tuple[int, int]:
        level = next(level for level in range(len(self.levels)) if block < self.before[level + 1])
        return level, block - self.before[level]

    def _rewritten(self, block: int) -> tuple[int, int]:
        area, within = divmod(block, self.area)
        leaves = self.area_groups * self.shape.run
        if within < leaves:
            place = area * self.area_groups + within // self.shape.run
            if place >= self.groups.size:
                return -1, 0
            return 0, self.groups.number(place) * self.shape.run + within % self.shape.run
        place = area * self.area_inner + within - leaves
        if place >= self.nodes - self.shape.leaves:
            return -1, 0
        level, index = self._fresh(self.inner.number(place) + self.shape.leaves)
        return level, index

    def _children(self, level: int, index: int) -> range:
        first = index * self.shape.fanout
        return range(first, min(first + self.shape.fanout, self.levels[level - 1]))

    def _youngest(self, level: int, index: int) -> int:
        return max(self.generation(level - 1, child) for child in self._children(level, index))

    def _make(self, level: int, index: int) -> Node:
        children = self._children(level, index)
        return Node(
            self.bytenr(level, index),
            level,
            self.generation(level, index),
            tuple(self.first_key(level - 1, child) for child in children),
            tuple(self.bytenr(level - 1, child) for child in children),
            tuple(self.generation(level - 1, child) for child in children),
        )


class Forest:
    """Several trees in the same chunks, one behind the other (`Source`)."""

    def __init__(self, shapes: Sequence[TreeShape], chunks: ChunkMap) -> None:
        self.chunks = chunks
        self.nodesize = chunks.nodesize
        self.trees: list[SyntheticTree] = []
        behind = 0
        for shape in shapes:
            self.trees.append(SyntheticTree(replace(shape, first_block=behind), chunks))
            behind += self.trees[-1].blocks

    def node(self, bytenr: int) -> Node:
        """Return the block at `bytenr`; KeyError if there is none."""
        block = self.chunks.block(bytenr)
        tree = next((tree for tree in reversed(self.trees) if tree.shape.first_block <= block), None)
        if tree is None:
            raise KeyError(bytenr)
        return tree.node(bytenr)

    def map_block(self, logical: int) -> Mapping | None:
        """Return where the copies are (`Source`)."""
        return self.chunks.map_block(logical)

    def lookup_block_group(self, logical: int) -> BlockGroup | None:
        """Return the block group (`Source`)."""
        return self.chunks.lookup_block_group(logical)
