# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys picked from the tree to be worked on: by writeback and by moving gc (btree.c)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reference.bcache.bkey import Bkey, Position, key, max_key
from reference.bcache.btree import child
from reference.bcache.node import Node
from reference.bcache.structs import CacheSet

__all__ = ["KEYBUF_NR", "Keybuf", "KeybufKey", "bch_btree_map_keys", "bch_btree_map_leaf_nodes"]

KEYBUF_NR = 500
Predicate = Callable[[Bkey], bool]


def bch_btree_map_leaf_nodes(c: CacheSet, after: Position | None = None) -> Iterator[Node]:
    """Yield the leaves, left to right, from that on which holds what comes after `after`."""
    assert c.root is not None
    c.root.parent = None
    yield from _leaves(c.root, after)


def _leaves(b: Node, after: Position | None) -> Iterator[Node]:
    if not b.level:
        yield b
        return
    for k in b.keys.filtered(b.ops.key_bad, after):
        yield from _leaves(child(b, k), after)
        after = None


def bch_btree_map_keys(c: CacheSet, after: Position | None = None, *, ends: bool = False) -> Iterator[Bkey]:
    """Yield the extents that are there, in order, that end after `after`.

    With `ends` (MAP_END_KEY) each leaf is followed by a key of no sectors where it ends.
    """
    for leaf in bch_btree_map_leaf_nodes(c, after):
        yield from leaf.keys.filtered(leaf.ops.key_bad, after)
        if ends:
            yield key(*leaf.key.position, 0)


@dataclass(eq=False)
class KeybufKey:
    """`struct keybuf_key`."""

    key: Bkey
    in_use: bool = False
    """`private`: somebody works on it."""


class Keybuf:
    """`struct keybuf`: up to KEYBUF_NR keys that do not overlap, in order."""

    def __init__(self) -> None:
        self.last_scanned: Position = max_key().position
        self.start: Position = max_key().position
        self.end: Position = max_key().position
        self.keys: list[KeybufKey] = []

    def refill(self, c: CacheSet, end: Position, pred: Predicate) -> int:
        """`bch_refill_keybuf`: go on where the last scan ended, up to `end` or until it is full."""
        found = 0
        for k in bch_btree_map_keys(c, self.last_scanned, ends=True):
            if k.position > end:
                self.last_scanned = k.position
                break
            if k.size and pred(k):
                if len(self.keys) == KEYBUF_NR:
                    # Where it was is not noted: the next scan finds it again.
                    break
                found += self._add(k)
            self.last_scanned = k.position
            if k.size and len(self.keys) == KEYBUF_NR:
                break
        self.start = self.keys[0].key.start_position if self.keys else max_key().position
        self.end = self.keys[-1].key.position if self.keys else max_key().position
        return found

    def _add(self, k: Bkey) -> bool:
        """Take a key, unless it overlaps one that is there (`keybuf_cmp`)."""
        at = bisect_right(self.keys, k.start_position, key=lambda w: w.key.position)
        if at < len(self.keys) and self.keys[at].key.start_position < k.position:
            return False
        self.keys.insert(at, KeybufKey(k.copy()))
        return True

    def delete(self, w: KeybufKey) -> None:
        """`bch_keybuf_del`."""
        self.keys.remove(w)

    def check_overlapping(self, start: Position, end: Position) -> bool:
        """`bch_keybuf_check_overlapping`: forget the keys in a range that is about to be written.

        Returns whether one of them is being worked on.
        """
        if end <= self.start or start >= self.end:
            return False
        at = bisect_right(self.keys, start, key=lambda w: w.key.position)
        after = bisect_left(self.keys, end, at, key=lambda w: w.key.start_position)
        met = self.keys[at:after]
        self.keys[at:after] = [w for w in met if w.in_use]
        return any(w.in_use for w in met)

    def next(self) -> KeybufKey | None:
        """`bch_keybuf_next`: the first key that nobody works on; None when there is none."""
        for w in self.keys:
            if not w.in_use:
                w.in_use = True
                return w
        return None

    def next_rescan(self, c: CacheSet, end: Position, pred: Predicate) -> KeybufKey | None:
        """`bch_keybuf_next_rescan`: the same, going on with the scan when there is none."""
        while (w := self.next()) is None and self.last_scanned < end:
            self.refill(c, end, pred)
        return w
