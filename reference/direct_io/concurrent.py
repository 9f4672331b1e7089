# SPDX-License-Identifier: GPL-2.0-or-later
"""What reads may find of a file that is changed at the same time: a set of allowed results.

One thread changes the file, one change after the other, so there is a state after each. A read that began
when `lo` changes were over, and ended when `hi` had begun, finds of each block what one of the states from
`lo` to `hi` has, and a length that one of them has. What was found once is not gone for a read that begins
later.

Direct writes leave less open, where they lie in the file as it is (fs/btrfs/direct-io.c): a read holds the
range of each extent map locked until its bio has ended (`lock_extent_direct`), and waits for direct writes
that are under way there. So of what is written at once, to one extent, it finds all or nothing. Writes
through the page cache and changes of length take the inode's lock, which direct reads share
(`btrfs_direct_read`); but what cannot be read directly is copied from the page cache without any lock, and
the file's length is asked again between batches of pages (`filemap_read`, mm/filemap.c): such a read may end
where the file never did, if the file is cut meanwhile.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["BLOCK", "GARBAGE", "ZEROS", "Change", "ChangeKind", "States"]

BLOCK = 4096
ZEROS = 0
"""Version of what nobody has written, or what lay behind the file's end."""
GARBAGE = -1
"""What nobody has written there."""


class ChangeKind(IntEnum):
    """How a file is changed."""

    DIRECT = 0
    BUFFERED = 1
    TRUNCATE = 2
    """`offset` is the new length."""


@dataclass(frozen=True)
class Change:
    """A change; its number, from 1, is the version of what it writes. Bytes, ns."""

    kind: ChangeKind
    offset: int
    length: int
    begin_ns: int
    end_ns: int
    cuts: tuple[int, ...] = ()
    """Of a direct write: where inside of it another extent begins, bytes."""


class States:
    """All states of a file, from none on, whose changes follow each other in time.

    >>> two = [Change(ChangeKind.DIRECT, 0, 8192, 10, 20), Change(ChangeKind.TRUNCATE, 4096, 0, 30, 40)]
    >>> states = States(two)
    >>> states.during(15, 35)
    (0, 2)
    >>> sorted(states.versions(1, 1, 2)), sorted(states.lengths(1, 2))
    ([0, 1], [4096, 8192])
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        self._begins = [change.begin_ns for change in changes]
        self._ends = [change.end_ns for change in changes]
        self._lengths = [0]
        self._numbers: dict[int, list[int]] = {}
        """Block -> after how many changes it became something else."""
        self._versions: dict[int, list[int]] = {}
        """Block -> what it became."""
        for number, change in enumerate(changes, 1):
            self._apply(number, change)

    def _apply(self, number: int, change: Change) -> None:
        before = self._lengths[-1]
        if change.kind is ChangeKind.TRUNCATE:
            self._lengths.append(change.offset)
            gone = range(change.offset // BLOCK, -(-before // BLOCK))
            for block in gone:
                self._become(block, number, ZEROS)
        else:
            end = change.offset + change.length
            self._lengths.append(max(before, end))
            for block in range(change.offset // BLOCK, end // BLOCK):
                self._become(block, number, number)

    def _become(self, block: int, number: int, version: int) -> None:
        self._numbers.setdefault(block, [0]).append(number)
        self._versions.setdefault(block, [ZEROS]).append(version)

    def during(self, begin_ns: int, end_ns: int) -> tuple[int, int]:
        """Return how many changes were over at the beginning, and how many had begun at the end."""
        return bisect_left(self._ends, begin_ns), bisect_right(self._begins, end_ns)

    def versions(self, block: int, lo: int, hi: int) -> set[int]:
        """Return what a block has in the states from `lo` to `hi`."""
        if block not in self._numbers:
            return {ZEROS}
        numbers = self._numbers[block]
        first, last = bisect_right(numbers, lo) - 1, bisect_right(numbers, hi)
        return set(self._versions[block][first:last])

    def has(self, found: Mapping[int, int], lo: int, hi: int) -> bool:
        """Whether one of those states has, of each block, the version that was found."""
        return any(
            all(self.versions(block, state, state) == {version} for block, version in found.items())
            for state in range(lo, hi + 1)
        )

    def lengths(self, lo: int, hi: int) -> set[int]:
        """Return the lengths of the file in those states."""
        return set(self._lengths[lo : hi + 1])

    def may_return(self, offset: int, length: int, returned: int, lo: int, hi: int, *, direct: bool) -> bool:
        """Whether a read may return so much.

        `direct` says that nothing is read through the page cache, but what the file was made longer by after
        a direct read had come to its end.
        """
        lengths = self.lengths(lo, hi)
        if returned in (min(length, max(0, size - offset)) for size in lengths):
            return True
        end = offset + returned
        if returned < 0 or end % BLOCK or not min(lengths) <= end <= max(lengths):
            return False
        return not direct or any(offset < size <= end for size in lengths)
