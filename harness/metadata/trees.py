# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole trees, read with all the checks by which a broken one is told from a tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from harness.metadata.errors import MetadataError
from reference.ondisk import Item
from reference.readahead.source import MAX_KEY, MIN_KEY, Key, Node, Root, Source

__all__ = ["items_of_type", "tree_blocks"]


class _Leaves(Source, Protocol):
    def leaf_items(self, bytenr: int) -> Iterator[Item]: ...


def tree_blocks(
    source: Source, root: Root, key_start: Key = MIN_KEY, key_end: Key = MAX_KEY
) -> Iterator[Node]:
    """Yield the blocks of a tree that may have keys of [`key_start`, `key_end`), parents first, by key.

    The root is always among them. MetadataError where a block is not what its parent says: of its level, its
    generation, its first key (`btrfs_verify_level_key`), or where no chunk has it. Each step leads down one
    level, so that a loop is found.
    """
    waiting = [_Wanted(root.bytenr, root.generation, MAX_KEY)]
    while waiting:
        wanted = waiting.pop()
        try:
            node = source.node(wanted.bytenr)
        except KeyError:
            raise MetadataError(f"block {wanted.bytenr} is pointed to, but no chunk has it") from None
        _check(node, wanted)
        yield node
        if node.level:
            children = [child for child in _children(node, wanted.top) if child.meets(key_start, key_end)]
            waiting += reversed(children)


def items_of_type(source: _Leaves, root: Root, *types: int) -> Iterator[Item]:
    """Yield the items of a tree that are of one of `types`, by key; errors as `tree_blocks`."""
    for node in tree_blocks(source, root):
        if node.level == 0:
            yield from (item for item in source.leaf_items(node.bytenr) if item.key.type in types)


class _Wanted(NamedTuple):
    bytenr: int
    generation: int
    top: Key
    """First key behind it."""
    level: int | None = None
    """None for a root, of which only the generation is known."""
    first_key: Key = MIN_KEY

    def meets(self, key_start: Key, key_end: Key) -> bool:
        return self.first_key < key_end and self.top > key_start


def _children(node: Node, top: Key) -> Iterator[_Wanted]:
    for slot, key in enumerate(node.keys):
        child_top = node.keys[slot + 1] if slot + 1 < len(node.keys) else top
        yield _Wanted(node.blockptrs[slot], node.ptr_generations[slot], child_top, node.level - 1, key)


def _check(node: Node, wanted: _Wanted) -> None:
    if node.generation != wanted.generation:
        raise MetadataError(
            f"block {node.bytenr} is of transaction {node.generation}, {wanted.generation} was expected: "
            "the tree is damaged, or was written to meanwhile"
        )
    if wanted.level is None:
        return
    if node.level != wanted.level:
        raise MetadataError(
            f"block {node.bytenr} is of level {node.level} where {wanted.level} belongs: the tree is damaged"
        )
    if not node.keys or node.keys[0] != wanted.first_key:
        raise MetadataError(f"block {node.bytenr} begins with another key than its parent says")
