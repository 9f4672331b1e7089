# SPDX-License-Identifier: GPL-2.0-or-later
"""Two slow models that the extent-io-tree is tested against. They share no code with it.

`NaiveOffsets` has the bits of every single offset: it knows what a range holds, nothing of states.
`NaiveStates` has the states in a plain list, searched from the front: it knows every split, merge and
identity. Its operations are generators that yield wherever the kernel drops the lock, so that several can be
interleaved.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from reference.extent_state.behaviour import Behaviour
from reference.extent_state.bits import BitLayout

__all__ = ["NaiveOffsets", "NaiveStates", "Row"]


def _exclusive(bits: int, layout: BitLayout, behaviour: Behaviour) -> int:
    """Return those of the bits asked for that nobody else may have."""
    alone = not bits & ~layout.lock_bits
    return bits & layout.lock_bits if alone or not behaviour.locks_alone else 0


class NaiveOffsets:
    """The bits of the offsets 0 to `size` - 1, one by one; 0 where there is no state."""

    def __init__(self, layout: BitLayout, size: int, behaviour: Behaviour = Behaviour.linux_6_18) -> None:
        self.layout = layout
        self.behaviour = behaviour
        self.bits = [0] * size

    def set(self, start: int, end: int, bits: int) -> int | None:
        """Set `bits` up to the first offset where a lock that is asked for is held; return that offset."""
        exclusive = _exclusive(bits, self.layout, self.behaviour)
        for offset in range(start, end + 1):
            if self.bits[offset] & exclusive:
                return offset
            self.bits[offset] |= bits & ~self.layout.ctlbits
        return None

    def clear(self, start: int, end: int, bits: int) -> None:
        """Clear `bits`; all of them on CLEAR_ALL_BITS, NORESERVE along with DELALLOC."""
        if bits & self.layout.delalloc:
            bits |= self.layout.noreserve
        if bits & self.layout.clear_all_bits:
            bits = ~0
        for offset in range(start, end + 1):
            self.bits[offset] &= ~bits

    def convert(self, start: int, end: int, bits: int, clear_bits: int) -> None:
        """Set `bits` and clear `clear_bits`, which must not overlap."""
        for offset in range(start, end + 1):
            self.bits[offset] = (self.bits[offset] | bits) & ~clear_bits


@dataclass
class Row:
    """A state: first and last offset, bits, ident."""

    start: int
    end: int
    bits: int
    ident: int


Sections = Generator[int, None, int | None]
"""Yields where it goes on after each drop of the lock; its value is the failed offset, if any."""


class NaiveStates:
    """States in a list. Where two equal neighbours of a filled hole could survive, `either` gets the pair
    (kept, erased): which one it is depends on the shape of the kernel's tree, which a list does not have."""

    def __init__(self, layout: BitLayout, behaviour: Behaviour) -> None:
        self.layout = layout
        self.behaviour = behaviour
        self.rows: list[Row] = []
        self.supply: list[int] = []
        self.erased: list[int] = []
        self.either: list[tuple[int, int]] = []

    def states(self) -> list[tuple[int, int, int, int]]:
        """Return (start, end, bits, ident) of each state."""
        return [(row.start, row.end, row.bits, row.ident) for row in self.rows]

    def rename(self, names: dict[int, int]) -> None:
        """Exchange idents, where the other of an `either` turned out to survive."""
        for row in self.rows:
            row.ident = names.get(row.ident, row.ident)
        self.erased = [names.get(ident, ident) for ident in self.erased]

    def set(self, start: int, end: int, bits: int) -> Sections:
        """Set `bits` (`set_extent_bit`)."""
        return self._paint(start, end, bits, 0, is_set=True)

    def convert(self, start: int, end: int, bits: int, clear_bits: int) -> Sections:
        """Set `bits` and clear `clear_bits` (`btrfs_convert_extent_bit`)."""
        return self._paint(start, end, bits, clear_bits, is_set=False)

    def _paint(self, start: int, end: int, bits: int, clear_bits: int, *, is_set: bool) -> Sections:
        while start <= end:
            at = self._first_ending_from(start)
            goes_on = True
            while goes_on:
                if at == len(self.rows) or self.rows[at].start > start:
                    start, at = self._fill(at, start, end, bits)
                    goes_on = at < len(self.rows) and start <= end
                    continue
                row = self.rows[at]
                if is_set and row.bits & _exclusive(bits, self.layout, self.behaviour):
                    return start
                if is_set and row.start < start and row.bits & bits == bits:
                    start = (row.end + 1) % 2**64
                    break
                at = self._cut_out(at, start, end)
                reached = self.rows[at].end
                if reached > end:
                    break
                self.rows[at].bits |= bits & ~self.layout.ctlbits
                at = self._strip(at, clear_bits & ~self.layout.ctlbits, end)
                start = reached + 1
                goes_on = start < end or (start == end and not self.behaviour.searches_again)
                goes_on &= at < len(self.rows) and self.rows[at].start == start
            if start <= end:
                yield start
        return None

    def clear(self, start: int, end: int, bits: int) -> Sections:
        """Clear `bits` (`btrfs_clear_extent_bit_changeset`)."""
        asked = bits & ~self.layout.ctlbits
        wanted = asked | (self.layout.noreserve if bits & self.layout.delalloc else 0)
        if bits & self.layout.clear_all_bits:
            wanted = 0xFFFFFFFF & ~self.layout.ctlbits
        at = self._first_ending_from(start)
        while at < len(self.rows):
            while at < len(self.rows):
                row = self.rows[at]
                reached = row.end
                if row.start > end:
                    return None
                trims = self.behaviour.trims_in_place and not row.bits & ~asked
                if not row.bits & wanted:
                    at = self._after(at, end)
                elif trims and self._trim(row, start, end):
                    at += 1
                else:
                    at = self._cut_out(at, start, end)
                    if row.end > end and row.start >= start and self.rows[at] is row:
                        # The head is split off, a tail is there still.
                        if self.behaviour.searches_again:
                            break
                        if trims:
                            row.start = end + 1
                            return None
                        at = self._cut_out(at, start, end)
                    at = self._strip(at, wanted, end)
                if reached >= end:
                    return None
                start = reached + 1
            yield start
            at = self._first_ending_from(start)
        return None

    def release(self) -> None:
        """Drop all states."""
        self.erased += [row.ident for row in self.rows]
        self.rows.clear()

    def _first_ending_from(self, offset: int) -> int:
        at = 0
        while at < len(self.rows) and self.rows[at].end < offset:
            at += 1
        return at

    def _cut_out(self, at: int, start: int, end: int) -> int:
        """Split off the head before `start`, or else the tail after `end`; return the row that is left.

        The first part is the new row.
        """
        row = self.rows[at]
        if row.start < start:
            self.rows.insert(at, Row(row.start, start - 1, row.bits, self.supply.pop()))
            row.start = start
            return at + 1
        if row.end > end:
            self.rows.insert(at, Row(row.start, end, row.bits, self.supply.pop()))
            row.start = end + 1
        return at

    @staticmethod
    def _trim(row: Row, start: int, end: int) -> bool:
        """Shorten a row of which nothing but a head before `start`, or a tail after `end`, is to stay."""
        if row.start < start and row.end <= end:
            row.end = start - 1
            return True
        if row.start >= start and row.end > end:
            row.start = end + 1
            return True
        return False

    def _fill(self, at: int, start: int, end: int, bits: int) -> tuple[int, int]:
        """Put a row before row `at`; return the next offset and the next row, or the number of rows."""
        stored = bits & ~self.layout.ctlbits
        if at == len(self.rows):
            self.rows.append(Row(start, end, stored, self.supply.pop()))
            self._join(at)
            return end + 1, len(self.rows)
        last = min(end, self.rows[at].start - 1)
        if self.behaviour.inserts_before_merging:
            self.rows.insert(at, Row(start, last, stored, self.supply.pop()))
            at = self._join(at)
        else:
            at = self._grow_neighbour(at, start, last, stored)
        if self.behaviour.searches_again:
            return last + 1, len(self.rows)
        reached = self.rows[at].end
        return (reached + 1) % 2**64, at + 1 if reached < end else len(self.rows)

    def _grow_neighbour(self, at: int, start: int, last: int, stored: int) -> int:
        row = self.rows[at]
        before = self.rows[at - 1] if at else Row(-1, -2, 0, 0)
        mergeable = self._mergeable(stored)
        joins_next = mergeable and (row.bits, row.start) == (stored, last + 1)
        joins_before = mergeable and (before.bits, before.end) == (stored, start - 1)
        if joins_next and joins_before:
            self.either.append((row.ident, before.ident))
            row.start = self._drop(at - 1).start
            return at - 1
        if joins_next:
            row.start = start
        elif joins_before:
            before.end = last
            return at - 1
        else:
            self.rows.insert(at, Row(start, last, stored, self.supply.pop()))
        return at

    def _mergeable(self, bits: int) -> bool:
        return not bits & (self.layout.lock_bits | self.layout.boundary)

    def _drop(self, at: int) -> Row:
        row = self.rows.pop(at)
        self.erased.append(row.ident)
        return row

    def _join(self, at: int) -> int:
        """Let row `at` take in equal neighbours; return its new place."""
        row = self.rows[at]
        if not self._mergeable(row.bits):
            return at
        if at and (self.rows[at - 1].bits, self.rows[at - 1].end) == (row.bits, row.start - 1):
            row.start = self._drop(at - 1).start
            at -= 1
        if at + 1 < len(self.rows) and (self.rows[at + 1].bits, self.rows[at + 1].start) == (
            row.bits,
            row.end + 1,
        ):
            row.end = self._drop(at + 1).end
        return at

    def _after(self, at: int, end: int) -> int:
        """Return the row after `at`; behind the last one if newer kernels do not look there any more."""
        return at + 1 if self.behaviour.searches_again or self.rows[at].end < end else len(self.rows)

    def _strip(self, at: int, bits: int, end: int) -> int:
        """Clear bits of row `at`; return the next row."""
        row = self.rows[at]
        row.bits &= ~bits
        if row.bits:
            return self._after(self._join(at), end)
        following = self._after(at, end)
        self._drop(at)
        return following - 1
