# SPDX-License-Identifier: GPL-2.0-or-later
"""The state tree of the second version (fs/extent_map.c, 24 July 2007): each change merges at once."""

from __future__ import annotations

from errno import EEXIST

from reference.extent_map.bits import EXTENT_IOBITS
from reference.extent_map.objects import ExtentState
from reference.extent_map.states import Request, States, soft_lockup

__all__ = ["RbtreeStates"]


class RbtreeStates(States):
    """`tree->state` of the second version, over an rbtree or any other index that walks both ways.

    >>> from reference.extent_map import EXTENT_DIRTY, EXTENT_LOCKED, Behaviour
    >>> from reference.index import RbTree
    >>> states = RbtreeStates(RbTree(), Behaviour.corrected_rbtree)
    >>> states.set_extent_bit(0, 16383, EXTENT_DIRTY)
    >>> states.set_extent_bit(4096, 8191, EXTENT_LOCKED, exclusive=True)
    >>> list(states)
    [state [0, 4095] DIRTY, state [4096, 8191] DIRTY|LOCKED, state [8192, 16383] DIRTY]
    >>> states.set_extent_bit(0, 16383, EXTENT_LOCKED, exclusive=True)  # locks [0, 4095], then fails
    4096
    >>> states.clear_extent_bit(0, 16383, EXTENT_LOCKED, wake=True)  # and all is one again
    8
    >>> list(states)
    [state [0, 16383] DIRTY]
    """

    __slots__ = ()

    def _set(self, request: Request) -> None:
        if self.set_section(request):
            for _ in soft_lockup("set_extent_bit", len(self.index)):
                if not self.set_section(request):
                    return

    def _clear(self, request: Request) -> None:
        if self.clear_section(request):
            for _ in soft_lockup("clear_extent_bit", len(self.index)):
                if not self.clear_section(request):
                    return

    def set_section(self, request: Request) -> bool:
        """Set bits on one state or hole (`set_extent_bit` from `again` on).

        Returns whether it searches again from `request.start`.
        """
        start = request.start
        end = request.end
        state = self.index.search(start)
        if state is None:
            self._insert_range(request, end, None)
            return False
        first = state.start
        if first > start and not self._overlooks_hole(request, state):
            return self._fill_hole(request, state)
        if request.exclusive and state.state & request.bits:
            return request.fail(-EEXIST, start)
        last = state.end
        if first == start and last <= end:
            state.state |= request.bits
            request.start = last + 1
            self.merge_state(state)
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
                self.merge_state(state)
            return self._set_goes_on(request)
        inside = self._split_tail(request, state, null, self.behaviour.set_tail_split_unchecked)
        if inside is not None:
            inside.state |= request.bits
            self.merge_state(inside)
        return False

    def clear_section(self, request: Request) -> bool:
        """Clear bits of one state (`clear_extent_bit` from `again` on).

        Returns whether it searches again from `request.start`.
        """
        state = self.index.search(request.start)
        if state is None or state.start > request.end:
            return False
        if self._clears_nothing(request, state):
            request.start = state.end + 1
            return self._clear_goes_on(request)
        null = self.behaviour.clear_without_prealloc
        if state.start < request.start:
            if not self._split_head(request, state, null):
                return False
            if state.end > request.end:
                return self._clear_goes_on(request)
        elif state.end > request.end:
            inside = self._split_tail(request, state, null, self.behaviour.clear_tail_split_unchecked)
            if inside is not None:
                if request.wake and state.wq is not None:
                    state.wq.wake_up()
                self.clear_state_bit(inside, request)
            return False
        request.start = state.end + 1
        self.clear_state_bit(state, request)
        return self._clear_goes_on(request)

    def clear_state_bit(self, state: ExtentState, request: Request) -> None:
        """Clear the bits of a whole state, wake who waits for them, and merge or remove it."""
        request.found |= state.state & request.bits
        state.state &= ~request.bits
        if request.wake and state.wq is not None:
            state.wq.wake_up()
        if not request.delete and state.state:
            self.merge_state(state)
        elif state.in_tree:
            self.index.erase(state)
            state.in_tree = False
            self.free_extent_state(state)

    def insert_state(
        self, state: ExtentState, start: int, end: int, bits: int, following: ExtentState | None
    ) -> int:
        """Put `state` into the tree and merge it; free it if that fails (`insert_state`)."""
        err = super().insert_state(state, start, end, bits, following)
        if not err:
            self.merge_state(state)
        return err

    def merge_state(self, state: ExtentState) -> None:
        """Merge `state` with equal neighbours unless it is under I/O (`merge_state`).

        It takes in the one before it, and is taken in by the one behind it, and freed.
        """
        bits = state.state
        if bits & EXTENT_IOBITS:
            return
        other = self.index.prev(state)
        if other is not None and other.state == bits and other.end == state.start - 1:
            state.start = other.start
            self._merged_away(other)
        other = self.index.next(state)
        if other is not None and other.state == bits and other.start == state.end + 1:
            other.start = state.start
            self._merged_away(state)

    def test_range_bit(self, start: int, end: int, bits: int, filled: bool) -> int:
        """Tell (0 or 1) whether a byte of [start, end] has one of `bits`; with `filled`, whether each has."""
        state = self.index.search(start)
        bitset = 0
        while state is not None and state.start <= end:
            if filled and state.start > start:
                return 0
            if state.state & bits:
                bitset = 1
                if not filled:
                    return 1
            elif filled:
                return 0
            start = state.end + 1
            if start > end:
                return bitset
            state = self.index.next(state)
        # The rest of the range has no state.
        return 0 if filled and not self.behaviour.filled_ignores_tail_hole else bitset
