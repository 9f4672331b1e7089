# SPDX-License-Identifier: GPL-2.0-or-later
"""The traditional walk on real devices: one block after the other."""

from __future__ import annotations

import time

from harness.metadata import FileSystem, MetadataError
from harness.metadata.levels import LevelCheck
from harness.readahead.copy_reader import read_copy
from harness.readahead.reads import BlockRead, Wanted
from reference.readahead import BlockGroup, Mapping, Node, walk

__all__ = ["DirectWalk"]


class DirectWalk:
    """Walks trees; what it reads it does not keep, beyond the path it is on (`Source`)."""

    def __init__(self, filesystem: FileSystem, turn: int = 0) -> None:
        """`turn` decides which copy is read first, as the reader's pid does in 5.10 (`find_live_mirror`)."""
        self.nodesize = filesystem.nodesize
        self.reads: list[BlockRead] = []
        self._filesystem = filesystem
        self._turn = turn
        self._levels = LevelCheck()

    def walk(self, wanted: Wanted) -> None:
        """Read the blocks of `wanted`; MetadataError if no copy of one is good, or the tree is damaged."""
        for node in walk(self, wanted.bytenr, wanted.key_start, wanted.key_end):
            self._levels.check(node)

    def node(self, bytenr: int) -> Node:
        """Read a block, copy after copy until one is good (`btree_read_extent_buffer_pages`)."""
        mapping = self._filesystem.map_block(bytenr)
        if mapping is None:
            raise MetadataError(f"block {bytenr} is pointed to, but no chunk has it")
        mirrors = self._filesystem.copies.mirrors(bytenr)
        first = self._turn % len(mapping.stripes)
        for mirror_num in (*mirrors[first:], *mirrors[:first]):
            stripe = mapping.stripes[min(mirror_num, len(mapping.stripes)) - 1]
            copy = read_copy(self._filesystem, stripe, bytenr, mirror_num, time.monotonic_ns())
            self.reads.append(copy.read)
            if copy.node is not None:
                return copy.node
        raise MetadataError(f"block {bytenr}: no copy of it is good")

    def map_block(self, logical: int) -> Mapping | None:
        """Return where the copies are (`Source`)."""
        return self._filesystem.map_block(logical)

    def lookup_block_group(self, logical: int) -> BlockGroup | None:
        """Return the block group (`Source`)."""
        return self._filesystem.lookup_block_group(logical)
