# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel asks of an extent-io-tree without changing it (fs/btrfs/extent-io-tree.c).

Each is one hold of the lock. The kernel's cached state only shortens a search, so it is left out.
"""

from __future__ import annotations

from reference.extent_state.bits import BitLayout
from reference.extent_state.index import StateIndex
from reference.extent_state.state import U64_MAX, ExtentState

__all__ = ["Queries"]


class Queries(StateIndex):
    """The read-only operations, by the kernel's names. Ranges are returned as (start, end), end inclusive."""

    __slots__ = ()

    bits: BitLayout

    def _find_first_extent_bit_state(self, start: int, bits: int) -> ExtentState:
        state = self.search(start)
        while state is not self.anchor and not state.state & bits:
            state = state.next
        return state

    def find_first_extent_bit(self, start: int, bits: int) -> tuple[int, int] | None:
        """Return the first state that ends at or after `start` and has any of `bits`."""
        state = self._find_first_extent_bit_state(start, bits)
        return None if state is self.anchor else (state.start, state.end)

    def find_contiguous_extent_bit(self, start: int, bits: int) -> tuple[int, int] | None:
        """Return the first state with any of `bits`, prolonged over the states that follow without a hole.

        The kernel does not ask whether those have the bits; neither does this.
        """
        state = self._find_first_extent_bit_state(start, bits)
        if state is self.anchor:
            return None
        first = last = state
        while last.next.start == last.end + 1 and last.next is not self.anchor:
            last = last.next
        return first.start, last.end

    def find_delalloc_range(self, start: int, max_bytes: int) -> tuple[bool, int, int]:
        """Return (found, start, end) of the delalloc range at or after `start` (`btrfs_find_delalloc_range`).

        It stops at a boundary and once it has `max_bytes`, which it may exceed by a part of a state. If the
        first state is not delalloc nothing is found, and `end` is that state's end, or U64_MAX without any
        state.
        """
        state = self.search(start)
        if state is self.anchor:
            return False, start, U64_MAX
        if not state.state & self.bits.delalloc:
            return False, start, state.end
        first = last = state
        total = state.end - state.start + 1
        while total < max_bytes and self._continues_delalloc(last.next, last.end + 1):
            last = last.next
            total += last.end - last.start + 1
        return True, first.start, last.end

    def _continues_delalloc(self, state: ExtentState, start: int) -> bool:
        if state is self.anchor or state.start != start:
            return False
        return state.state & (self.bits.delalloc | self.bits.boundary) == self.bits.delalloc

    def find_first_clear_extent_bit(self, start: int, bits: int) -> tuple[int, int]:
        """Return the first range with none of `bits` that holds or follows `start`; it may begin before.

        Behind the last state the end is U64_MAX, but a range that runs out with states ends with the last
        one, as in the kernel. If every offset has the bits the kernel loops for ever; this raises
        OverflowError.
        """
        state = self.search(start)
        wrapped = False
        while state.start <= start and state.state & bits:
            if state.end == U64_MAX:
                if wrapped:
                    raise OverflowError("no offset is without the bits: the kernel would search for ever")
                wrapped = True
            start = (state.end + 1) & U64_MAX
            state = self.search(start)
        range_start = state.start if state.start <= start else state.prev.end + 1
        if state is self.anchor:
            return range_start, U64_MAX
        while state is not self.anchor and not state.state & bits:
            state = state.next
        return range_start, (state.prev.end if state is self.anchor else state.start - 1)

    def count_range_bits(
        self, start: int, search_end: int, max_bytes: int, bits: int, contig: bool = False
    ) -> tuple[int, int]:
        """Return (bytes of [start, search_end] that have all of `bits`, where they begin).

        It stops once it has `max_bytes`, which it may exceed; with `contig`, at the first byte without. The
        start comes back unchanged if the first state reaches `max_bytes` already, as in the kernel.
        """
        found_start, total, last = start, 0, None
        if search_end < start:
            return total, found_start
        state = self.search(start)
        while state.start <= search_end:
            if contig and last is not None and state.start > last + 1:
                break
            if state.state & bits == bits:
                total += min(search_end, state.end) + 1 - max(start, state.start)
                if total >= max_bytes:
                    break
                if last is None:
                    found_start = max(start, state.start)
                last = state.end
            elif contig and last is not None:
                break
            state = state.next
        return total, found_start

    def test_range_bit_exists(self, start: int, end: int, bit: int) -> bool:
        """Tell whether any byte of [start, end] has `bit`."""
        return bool(self.get_range_bits(start, end) & bit)

    def test_range_bit(self, start: int, end: int, bit: int) -> bool:
        """Tell whether every byte of [start, end] has `bit`."""
        state = self.search(start)
        while state.start <= start and state.state & bit:
            if state.end >= end:
                return True
            start = state.end + 1
            state = state.next
        return False

    def get_range_bits(self, start: int, end: int) -> int:
        """Return the bits that any byte of [start, end] has."""
        bits = 0
        state = self.search(start)
        while state.start <= end:
            bits |= state.state
            if state.end >= end:
                break
            state = state.next
        return bits
