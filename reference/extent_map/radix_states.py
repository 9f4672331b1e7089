# SPDX-License-Identifier: GPL-2.0-or-later
"""The state tree of the first version (fs/extent_map.c, 10 July 2007): gang lookups, merging afterwards."""

from __future__ import annotations

from errno import EEXIST

from reference.extent_map.bits import EXTENT_IOBITS
from reference.extent_map.objects import ExtentState
from reference.extent_map.states import Request, States, soft_lockup
from reference.index import U64_MAX

__all__ = ["RadixStates"]


class RadixStates(States):
    """`tree->state` of the first version.

    A call tries an exact match first, then goes state by state; `merge_state` walks the range at the end.

    >>> from reference.extent_map import EXTENT_DIRTY, Behaviour
    >>> from reference.index import RadixTree
    >>> states = RadixStates(RadixTree(), Behaviour.corrected_radix)
    >>> states.set_extent_bit(0, 4095, EXTENT_DIRTY)
    >>> states.set_extent_bit(8192, 12287, EXTENT_DIRTY)
    >>> states.set_extent_bit(4096, 8191, EXTENT_DIRTY)
    >>> list(states)
    [state [0, 12287] DIRTY]
    """

    __slots__ = ()

    def _set(self, request: Request) -> None:
        start = request.start
        request.ioset = 0
        if not self.set_exact(request):
            for _ in soft_lockup("set_extent_bit", len(self.index)):
                if not self.set_section(request):
                    break
        if self.set_merges(request):
            self.merge_state(start, request.end)

    def _clear(self, request: Request) -> None:
        start = request.start
        if not self.clear_exact(request):
            for _ in soft_lockup("clear_extent_bit", len(self.index)):
                if not self.clear_section(request):
                    break
        if self.clear_merges(request):
            self.merge_state(start, request.end)

    def set_exact(self, request: Request) -> bool:
        """Set the bits if one state is just the range; return whether there is one."""
        state = self.index.lookup(request.end)
        if state is None or state.start != request.start:
            return False
        if request.exclusive and state.state & request.bits:
            request.fail(-EEXIST, state.start)
            if not self.behaviour.exact_match_sets_on_failure:
                return True
        state.state |= request.bits
        return True

    def set_section(self, request: Request) -> bool:
        """Set bits on one state or hole (`set_extent_bit` from `again` on).

        Returns whether it searches again from `request.start`.
        """
        gang = self.index.gang_lookup(request.start, 1)
        if not gang:
            self._insert_range(request, request.end, None)
            return False
        state = gang[0]
        if state.start > request.start and not self._overlooks_hole(request, state):
            return self._fill_hole(request, state)
        request.ioset = state.state & EXTENT_IOBITS
        if request.exclusive and state.state & request.bits:
            return request.fail(-EEXIST, request.start)
        if state.start == request.start and state.end <= request.end:
            state.state |= request.bits
            request.start = state.end + 1
            return self._set_goes_on(request)
        return self._set_part(request, state)

    def _set_part(self, request: Request, state: ExtentState) -> bool:
        """Set bits on the part of `state` that is in the range, or split off what lies before it."""
        null = self.behaviour.set_without_prealloc
        if state.start < request.start:
            if not self._split_head(request, state, null):
                return False
            if state.end <= request.end:
                state.state |= request.bits
                request.start = state.end + 1
            return self._set_goes_on(request)
        inside = self._split_tail(request, state, null, self.behaviour.set_tail_split_unchecked)
        if inside is not None:
            inside.state |= request.bits
        return False

    def set_merges(self, request: Request) -> bool:
        """Tell whether a set is followed by `merge_state`; states under I/O would not merge."""
        if request.bits & EXTENT_IOBITS:
            return False
        return not (self.behaviour.ioset_of_last_state and (request.err or request.ioset))

    def clear_exact(self, request: Request) -> bool:
        """Clear the bits if one state is just the range; return whether there is one."""
        state = self.index.lookup(request.end)
        if state is None or state.start != request.start:
            return False
        self.clear_state_bit(state, request)
        return True

    def clear_section(self, request: Request) -> bool:
        """Clear bits of up to two states (`clear_extent_bit` from `again` on).

        Returns whether it searches again from `request.start`.
        """
        gang = self.index.gang_lookup(request.start, 2)
        if not gang:
            return False
        for state in gang:
            if state.start > request.end:
                return False
            if self._clears_nothing(request, state):
                request.start = state.end + 1
                continue
            if state.start < request.start:
                return self._clear_from_middle(request, state)
            if state.end > request.end:
                self._clear_first_part(request, state)
                return False
            request.start = state.end + 1
            self.clear_state_bit(state, request)
        return self._clear_goes_on(request)

    def _clear_from_middle(self, request: Request, state: ExtentState) -> bool:
        """Split off what lies before the range, and clear the rest unless it reaches beyond the range."""
        if not self._split_head(request, state, self.behaviour.clear_without_prealloc):
            if self.behaviour.clear_hides_error:
                request.err = 0
            return False
        if state.end <= request.end:
            request.start = state.end + 1
            self.clear_state_bit(state, request)
        return self._clear_goes_on(request)

    def _clear_first_part(self, request: Request, state: ExtentState) -> None:
        behaviour = self.behaviour
        inside = self._split_tail(
            request, state, behaviour.clear_without_prealloc, behaviour.clear_tail_split_unchecked
        )
        if inside is None:
            return
        if request.wake and state.wq is not None:
            state.wq.wake_up()
        self.clear_state_bit(inside, request)

    def clear_merges(self, request: Request) -> bool:
        """Tell whether a clear is followed by `merge_state`."""
        return bool(request.bits & EXTENT_IOBITS) or not self.behaviour.clear_merges_io_only

    def clear_state_bit(self, state: ExtentState, request: Request) -> None:
        """Clear the bits of a whole state, wake who waits for them, and remove it if none is left."""
        request.found |= state.state & request.bits
        state.state &= ~request.bits
        if request.wake and state.wq is not None:
            state.wq.wake_up()
        if request.delete or not state.state:
            self.index.delete(state.end)
            state.in_tree = False
            self.free_extent_state(state)

    def merge_state(self, start: int, end: int) -> None:
        """Merge equal neighbours, from the one that ends before `start` to the one behind `end`."""
        behaviour = self.behaviour
        for _ in soft_lockup("merge_state", len(self.index)):
            if behaviour.merge_stops_at_end and start >= end:
                return
            before = start - 1 if start or behaviour.merge_start_underflows else 0
            gang = self.index.gang_lookup(before & U64_MAX, 2)
            if len(gang) < 2 or gang[0].start > end:
                return
            state, following = gang
            if (
                state.end == following.start - 1
                and state.state == following.state
                and not state.state & EXTENT_IOBITS
            ):
                following.start = state.start
                self._merged_away(state)
            if following.end == U64_MAX:
                return  # Nothing lies behind it; the C goes on from 0, finds nothing behind 2^64-1 either.
            start = following.end + 1

    def test_range_bit(self, start: int, end: int, bits: int, filled: bool) -> int:
        """Tell (0 or 1) whether a byte of [start, end] has one of `bits`; with `filled`, whether each has."""
        behaviour = self.behaviour
        state = self.index.lookup(end)
        if state is not None and state.start == start:
            found = state.state & bits
            return found if behaviour.test_returns_bits else int(bool(found))
        bitset = 0
        for _ in soft_lockup("test_range_bit", len(self.index)):
            gang = self.index.gang_lookup(start, 1)
            if not gang or gang[0].start > end:
                break
            state = gang[0]
            if filled and state.start > start:
                return 0
            if state.state & bits:
                bitset = 1
                if not filled:
                    return 1
            elif filled:
                return 0
            start = state.end + 1
            if behaviour.test_wraps:
                start &= U64_MAX
            if start > end:
                return bitset
        # The rest of the range has no state.
        return 0 if filled and not behaviour.filled_ignores_tail_hole else bitset
