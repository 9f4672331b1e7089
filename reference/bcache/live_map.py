# SPDX-License-Identifier: GPL-2.0-or-later
"""Which sectors of the backing devices are where in the cache, when newer keys win: what all of it means.

This is the plain meaning of a btree, without nodes and sets: what the checker makes of a tree and its
journal, and what the model of the btree is held against.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from reference.bcache.bkey import Bkey, Position, bch_cut_back, bch_cut_front

__all__ = ["LiveMap"]


class LiveMap:
    """Extents that do not overlap, in order. A key without pointers stands for what is not cached.

    >>> from reference.bcache.bkey import key, make_ptr
    >>> live = LiveMap()
    >>> live.insert(key(0, 100, 50, [make_ptr(0, 1000, 0)]))
    >>> live.insert(key(0, 80, 10))
    >>> list(live)
    [0:50 len 20 -> [0:1000 gen 0], 0:70 len 10 -> [], 0:80 len 20 -> [0:1030 gen 0]]
    """

    def __init__(self) -> None:
        self._ends: list[Position] = []
        self._keys: list[Bkey] = []

    def __iter__(self) -> Iterator[Bkey]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def copy(self) -> LiveMap:
        """Return a map that does not change with this one."""
        copied = LiveMap()
        copied._ends, copied._keys = list(self._ends), list(self._keys)
        return copied

    def insert(self, k: Bkey) -> None:
        """Let `k` say what its sectors are from now on. It is kept as it is, not copied."""
        start, end = k.start_position, k.position
        if not k.size:
            return
        if not self._ends or self._ends[-1] <= start:
            self._ends.append(end)
            self._keys.append(k)
            return
        first = bisect_right(self._ends, start)
        last = bisect_left(self._ends, end, first)
        met = self._keys[first : last + 1]
        kept = [*_before(met, start), k, *_after(met, end)]
        self._keys[first : last + 1] = kept
        self._ends[first : last + 1] = [extent.position for extent in kept]

    def overlapping(self, start: Position, end: Position) -> list[Bkey]:
        """Return the extents that have sectors in the range, whole."""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._ends, end, first)
        return [k for k in self._keys[first : last + 1] if k.start_position < end]


def _before(met: list[Bkey], start: Position) -> list[Bkey]:
    """Return what is left before `start` of the first extent met."""
    if not met or met[0].start_position >= start:
        return []
    left = met[0].copy()
    bch_cut_back(start, left)
    return [left]


def _after(met: list[Bkey], end: Position) -> list[Bkey]:
    """Return what is left after `end` of the last extent met: all of it, if it only comes after."""
    if not met or met[-1].position <= end:
        return []
    left = met[-1].copy()
    bch_cut_front(end, left)
    return [left]
