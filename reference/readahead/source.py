# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine works on: nodes of trees, and where their copies are. All addresses in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from reference.rbtree import U64_MAX

__all__ = ["MAX_KEY", "MIN_KEY", "BlockGroup", "Key", "Mapping", "Node", "Root", "Source", "Stripe"]


class Key(NamedTuple):
    """`struct btrfs_key`; keys compare as `btrfs_comp_cpu_keys` does."""

    objectid: int
    type: int
    offset: int


MIN_KEY = Key(0, 0, 0)
MAX_KEY = Key(U64_MAX, 0xFF, U64_MAX)


@dataclass(frozen=True, slots=True)
class Node:
    """A block of a tree as it was read: the header, and what a node points to. Leaves point to nothing."""

    bytenr: int
    """Logical address (`btrfs_header_bytenr`)."""
    level: int
    """0 for leaves (`btrfs_header_level`)."""
    generation: int
    """The transaction that wrote it (`btrfs_header_generation`)."""
    keys: Sequence[Key] = ()
    """The first key below each pointer, ascending (`btrfs_node_key`). A leaf may have those of its items."""
    blockptrs: Sequence[int] = ()
    """Logical addresses (`btrfs_node_blockptr`); none in a leaf."""
    ptr_generations: Sequence[int] = ()
    """The generation that each child is to have (`btrfs_node_ptr_generation`); none in a leaf."""


class Root(NamedTuple):
    """What `btrfs_reada_add` takes from a tree's root node."""

    bytenr: int
    generation: int


class Stripe(NamedTuple):
    """One copy of a block (`struct btrfs_bio_stripe`)."""

    devid: int
    physical: int


class Mapping(NamedTuple):
    """Where a block is (`struct btrfs_bio`, as `btrfs_map_block` fills it in for all copies to read from)."""

    stripes: Sequence[Stripe]
    """Copy `mirror_num` stands at `mirror_num` - 1; targets of a replace come last."""
    length: int
    """How much from the block's start on is mapped like this."""
    num_tgtdevs: int = 0
    """How many of the last stripes are targets of a replace."""


class BlockGroup(NamedTuple):
    """What of a block group the engine asks for."""

    start: int
    length: int


class Source(Protocol):
    """A file system's trees and its chunk map."""

    @property
    def nodesize(self) -> int:
        """Size of every block of a tree."""

    def node(self, bytenr: int) -> Node:
        """Return the block at `bytenr`; KeyError if there is none."""

    def map_block(self, logical: int) -> Mapping | None:
        """Return where the block at `logical` is, or None if no chunk has it (`btrfs_map_block`)."""

    def lookup_block_group(self, logical: int) -> BlockGroup | None:
        """Return the block group with `logical`, or None (`btrfs_lookup_block_group`)."""
