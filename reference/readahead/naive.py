# SPDX-License-Identifier: GPL-2.0-or-later
"""What a readahead must read, said in the plainest way: everything of the range below the root."""

from __future__ import annotations

from collections.abc import Container

from reference.readahead.source import MAX_KEY, Key, Root, Source

__all__ = ["blocks_to_read"]


def blocks_to_read(
    source: Source,
    root: Root,
    key_start: Key,
    key_end: Key,
    failing: Container[int] = (),
    left_out: Container[int] = (),
) -> list[int]:
    """Return the addresses of all blocks that a readahead of [`key_start`, `key_end`) reads, in no order.

    Below a block of `failing` addresses, or of another generation than its parent says, nothing is read.
    Blocks of `left_out` addresses, and all below, cannot be read ahead. The root is read for any range.
    """
    found: list[int] = []
    waiting = [(root.bytenr, root.generation, MAX_KEY)]
    while waiting:
        bytenr, generation, top = waiting.pop()
        if bytenr in left_out:
            continue
        found.append(bytenr)
        # What fails may be readable nowhere.
        if bytenr in failing:
            continue
        node = source.node(bytenr)
        if node.generation != generation or node.level == 0:
            continue
        tops = (*node.keys[1:], top)
        for key, child, ptr_generation, next_key in zip(
            node.keys, node.blockptrs, node.ptr_generations, tops, strict=True
        ):
            if key < key_end and next_key > key_start:
                waiting.append((child, ptr_generation, next_key))
    return found
