# SPDX-License-Identifier: GPL-2.0-or-later
"""The traditional walk: search for the first key, then the next leaf, one block at a time (fs/btrfs/ctree.c).

What the series' test ioctl was measured against: `btrfs_search_slot`, then `btrfs_next_leaf` until an item is
at or behind the end. A block is asked for when the walk needs it and not before, and is asked for once: the
path keeps it in memory while the walk is below it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from reference.readahead.source import MAX_KEY, MIN_KEY, Key, Node, Source

__all__ = ["walk"]


def walk(source: Source, bytenr: int, key_start: Key = MIN_KEY, key_end: Key = MAX_KEY) -> Iterator[Node]:
    """Yield the blocks that a walk of [`key_start`, `key_end`) reads, in the order in which it does.

    `bytenr` is where the root is. Whoever takes the blocks decides how long a read lasts. The walk ends at
    the first item behind the range, so where a leaf ends with the range it reads the one after it, and the
    nodes on the way. Of a leaf without keys it is taken that the range does not end inside.
    """
    path: list[tuple[Node, int]] = []
    first = MIN_KEY
    node = source.node(bytenr)
    while True:
        yield node
        while node.level:
            # Behind the leaf of the search all keys are greater, and all slots 0.
            slot = max(bisect_right(node.keys, key_start) - 1, 0)
            path.append((node, slot))
            node = source.node(node.blockptrs[slot])
            yield node
        if first >= key_end or (node.keys and node.keys[-1] >= key_end):
            return
        while path and path[-1][1] + 1 == len(path[-1][0].blockptrs):
            path.pop()
        if not path:
            return
        parent, slot = path.pop()
        path.append((parent, slot + 1))
        first = parent.keys[slot + 1]
        node = source.node(parent.blockptrs[slot + 1])
