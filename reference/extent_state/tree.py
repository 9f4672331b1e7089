# SPDX-License-Identifier: GPL-2.0-or-later
"""The extent-io-tree: setting, clearing and converting bits of byte ranges (fs/btrfs/extent-io-tree.c).

One hold of `tree->lock` is one call of a `*_section` method, since that is what other tasks can come between.
"""

from __future__ import annotations

from collections.abc import Collection

from reference.extent_state.behaviour import Behaviour
from reference.extent_state.bits import BitLayout
from reference.extent_state.invariants import validate
from reference.extent_state.queries import Queries
from reference.extent_state.state import U64_MAX, ExtentState

__all__ = ["DONE", "FAILED", "ExtentIoTree"]

DONE = -1
"""A section returns this when the operation is finished."""
FAILED = -2
"""A section of a set returns this when an exclusive bit is set already (-EEXIST)."""


class ExtentIoTree(Queries):
    """Byte ranges with bits (`struct extent_io_tree`), as `bits` and `behaviour` say.

    Offsets are bytes, ends are inclusive, 0 <= start <= end <= U64_MAX. States are objects with an identity:
    a new one takes the last of `supply`, and the idents of those that leave the tree go to `erased`.

    >>> from reference.extent_state import LINUX_6_18
    >>> tree = ExtentIoTree(LINUX_6_18)
    >>> tree.supply = [0xC, 0xB, 0xA]
    >>> tree.set_extent_bit(0, 16383, 32)          # DELALLOC in an empty tree: one state, 0xA
    >>> tree.set_extent_bit(4096, 8191, 64)        # DEFRAG inside it: the new states are the first parts
    >>> [(start, end, bits, hex(ident)) for start, end, bits, ident in tree.states()]
    [(0, 4095, 32, '0xb'), (4096, 8191, 96, '0xc'), (8192, 16383, 32, '0xa')]
    >>> tree.clear_extent_bit(4096, 8191, 64)      # equal again: the changed state takes in its neighbours
    >>> [(start, end, bits, hex(ident)) for start, end, bits, ident in tree.states()]
    [(0, 16383, 32, '0xc')]
    >>> [hex(ident) for ident in tree.erased]
    ['0xb', '0xa']
    >>> tree.supply, tree.unsupplied
    ([], 0)
    """

    __slots__ = (
        "_inserts_first",
        "_locks_alone",
        "_no_merge",
        "_searches_again",
        "_stored",
        "_trims",
        "behaviour",
        "bits",
        "erased",
        "failed_start",
        "need_resched",
        "supply",
        "unsupplied",
    )

    def __init__(self, bits: BitLayout, behaviour: Behaviour = Behaviour.linux_6_18) -> None:
        super().__init__()
        self.bits = bits
        self.behaviour = behaviour
        self.supply: list[int] = []
        """Idents of the states that the kernel preallocated and has not used, the next one last."""
        self.unsupplied = 0
        """How many states were needed while `supply` was empty; they get the idents -1, -2, ..."""
        self.erased: list[int] = []
        """Idents of the states that left the tree, in that order, until somebody empties the list."""
        self.failed_start = 0
        """Where the last set that FAILED met an exclusive bit."""
        self.need_resched = False
        """Whether each section ends where the kernel asks need_resched(), as it may at any time."""
        self._stored = 0xFFFFFFFF & ~bits.ctlbits
        self._no_merge = bits.lock_bits | bits.boundary
        self._searches_again = behaviour.searches_again
        self._trims = behaviour.trims_in_place
        self._inserts_first = behaviour.inserts_before_merging
        self._locks_alone = behaviour.locks_alone

    # Whole operations: one section after the other, nothing in between.

    def set_extent_bit(self, start: int, end: int, bits: int) -> int | None:
        """Set `bits` on [start, end]; return None, or the offset that was locked already.

        As in the kernel, what lies before that offset has been set and stays set.
        """
        at = self.set_section(start, end, bits)
        while at >= 0:
            at = self.set_section(at, end, bits)
        return self.failed_start if at == FAILED else None

    def clear_extent_bit(self, start: int, end: int, bits: int) -> None:
        """Clear `bits` on [start, end]; a state without bits leaves the tree."""
        at = self.clear_section(start, end, bits)
        while at >= 0:
            at = self.clear_section(at, end, bits)

    def convert_extent_bit(self, start: int, end: int, bits: int, clear_bits: int) -> None:
        """Set `bits`, then clear `clear_bits`, on [start, end]. Holes get `bits` and lose none."""
        at = self.convert_section(start, end, bits, clear_bits)
        while at >= 0:
            at = self.convert_section(at, end, bits, clear_bits)

    def release(self) -> None:
        """Drop all states (`btrfs_extent_io_tree_release`), in the kernel's order."""
        order = self if self.behaviour.releases_in_order else self.postorder()
        self.erased += [state.ident for state in order]
        self.clear()

    # Sections: one hold of tree->lock each.

    def set_section(self, start: int, end: int, bits: int) -> int:  # noqa: PLR0911 - as many as in C
        """Set `bits` from `start` on until the kernel would drop the lock (`set_extent_bit`).

        Returns where the next section starts, DONE, or FAILED with `failed_start` set.

        >>> from reference.extent_state import LINUX_6_18
        >>> tree = ExtentIoTree(LINUX_6_18)
        >>> tree.set_section(8192, 12287, 2)        # lock a hole
        -1
        >>> tree.set_section(0, 16383, 2)           # the hole before it is locked, then the lock is met
        -2
        >>> tree.failed_start, [state[:3] for state in tree.states()]
        (8192, [(0, 8191, 2), (8192, 12287, 2)])
        """
        exclusive = self._exclusive(bits)
        state = self.by_start.get(start) or self.search(start)
        if state is self.anchor:
            self._insert_state_fast(start, end, bits)
            return DONE
        while True:
            if state.start > start:
                start, state = self._fill_hole(start, end, bits, state)
                if state is self.anchor:
                    return start
                continue
            if state.state & exclusive:
                self.failed_start = start
                return FAILED
            last_end = state.end
            if state.start < start:
                if state.state & bits == bits:
                    return self._search_again(last_end + 1, end)
                self._split_state(state, start)
                if last_end > end:
                    return start
            elif last_end > end:
                state = self._split_state(state, end + 1)
            state.state |= bits & self._stored
            self._merge_state(state)
            if last_end >= end:
                return DONE
            start = last_end + 1
            state = state.next
            if state.start != start or self._drops_lock_at(start, end):
                return start

    def clear_section(self, start: int, end: int, bits: int) -> int:
        """Clear `bits` from `start` on until the kernel would drop the lock.

        In C: `btrfs_clear_extent_bit_changeset`; `__clear_extent_bit` before 6.16.

        Returns where the next section starts, or DONE.

        >>> from reference.extent_state import LINUX_6_18
        >>> tree = ExtentIoTree(LINUX_6_18)
        >>> tree.set_extent_bit(0, 16383, 32)
        >>> tree.clear_section(4096, 8191, 32)      # split twice, erase the middle
        -1
        >>> tree.states()
        [(0, 4095, 32, -2), (8192, 16383, 32, -1)]
        >>> tree.erased
        [-3]
        """
        wanted = self._bits_to_clear(bits)
        state = self.by_start.get(start) or self.search(start)
        while state.start <= end:
            last_end = state.end
            if not state.state & wanted:
                state = self._next_search_state(state, end)
            elif state.start < start and last_end <= end and self._clears_all(state, bits):
                state.end = start - 1
                state = state.next
            else:
                if state.start < start:
                    self._split_state(state, start)
                    if last_end > end and (self._searches_again or self.need_resched):
                        return start
                if last_end > end:
                    self._clear_first_part(state, end, bits, wanted)
                    return DONE
                state = self._clear_state_bit(state, wanted, end)
            if last_end >= end:
                return DONE
            start = last_end + 1
            if state is self.anchor or self.need_resched:
                return start
        return DONE

    def convert_section(self, start: int, end: int, bits: int, clear_bits: int) -> int:
        """Set `bits`, clear `clear_bits` until the kernel would drop the lock (`btrfs_convert_extent_bit`).

        Returns where the next section starts, or DONE.

        >>> from reference.extent_state import LINUX_6_18
        >>> tree = ExtentIoTree(LINUX_6_18)
        >>> tree.set_extent_bit(0, 8191, 1)
        >>> tree.convert_section(4096, 12287, 1024, 1)   # DIRTY to NEED_WAIT, and the hole behind it
        8192
        >>> tree.convert_section(8192, 12287, 1024, 1)
        -1
        >>> [state[:3] for state in tree.states()]
        [(0, 4095, 1), (4096, 12287, 1024)]
        """
        state = self.by_start.get(start) or self.search(start)
        if state is self.anchor:
            self._insert_state_fast(start, end, bits)
            return DONE
        while True:
            if state.start > start:
                start, state = self._fill_hole(start, end, bits, state)
                if state is self.anchor:
                    return start
                continue
            last_end = state.end
            if state.start < start:
                self._split_state(state, start)
                if last_end > end:
                    return start
            elif last_end > end:
                state = self._split_state(state, end + 1)
            state.state |= bits & self._stored
            state = self._clear_state_bit(state, clear_bits & self._stored, end)
            if last_end >= end:
                return DONE
            start = last_end + 1
            if state.start != start or self._drops_lock_at(start, end):
                return start

    # Steps of a section.

    def _exclusive(self, bits: int) -> int:
        """Return the bits asked for that no state may have already."""
        exclusive = bits & self.bits.lock_bits
        return 0 if self._locks_alone and exclusive != bits else exclusive

    def _take(self) -> int:
        """Return the ident of the state that the kernel allocates now, or had allocated before it locked."""
        if self.supply:
            return self.supply.pop()
        self.unsupplied += 1
        return -self.unsupplied

    def _erase(self, state: ExtentState) -> None:
        self.remove(state)
        self.erased.append(state.ident)

    def _search_again(self, start: int, end: int) -> int:
        """Return what a section returns when the next is to start at `start`, if that is in the range.

        Behind a state that ends at U64_MAX the kernel's u64 wraps, and it starts over from 0; so does this.
        """
        start &= U64_MAX
        return DONE if start > end else start

    def _drops_lock_at(self, start: int, end: int) -> bool:
        """Tell whether a contiguous next state is left to another search: for a last single byte, once."""
        return self.need_resched or (self._searches_again and start == end)

    def _next_search_state(self, state: ExtentState, end: int) -> ExtentState:
        """Return the next state, or the anchor if `state` reaches the range's end (`next_search_state`)."""
        if self._searches_again or state.end < end:
            return state.next
        return self.anchor

    def _insert_state_fast(self, start: int, end: int, bits: int) -> None:
        """Append a state behind all others; it takes in an equal one before it (`insert_state_fast`)."""
        state = ExtentState(start, end, bits & self._stored, self._take())
        self.add_before(state, self.anchor)
        self._merge_state(state)

    def _fill_hole(self, start: int, end: int, bits: int, following: ExtentState) -> tuple[int, ExtentState]:
        """Insert what fits before `following`; return where to go on, and the state to go on with.

        The anchor instead of a state means that the section is over, and returns the first value.
        """
        this_end = min(end, following.start - 1)
        inserted = self._insert_state(start, this_end, bits, following)
        if self._searches_again:
            return self._search_again(this_end + 1, end), self.anchor
        following = self.anchor if self.need_resched else self._next_search_state(inserted, end)
        return self._search_again(inserted.end + 1, end), following

    def _insert_state(self, start: int, end: int, bits: int, following: ExtentState) -> ExtentState:
        """Put [start, end] before `following`, into a neighbour if one is equal (`insert_state`).

        The kernel looks for the place from the root down and lets the first equal neighbour on its way grow,
        which then takes in the other. A neighbour that grows leaves the preallocated state unused. Older
        kernels insert the new state, which takes in both.
        """
        stored = bits & self._stored
        if not (self._inserts_first or bits & self._no_merge):
            previous = following.prev
            joins_next = following.state == stored and following.start == end + 1
            joins_previous = previous.state == stored and previous.end == start - 1
            next_is_above = following.left is not self.anchor
            if joins_next and (next_is_above or not joins_previous):
                self.move_start(following, start)
                self._merge_prev_state(following)
                return following
            if joins_previous:
                previous.end = end
                self._merge_next_state(previous)
                return previous
        state = ExtentState(start, end, stored, self._take())
        self.add_before(state, following)
        if self._inserts_first:
            self._merge_state(state)
        return state

    def _split_state(self, state: ExtentState, split: int) -> ExtentState:
        """Cut `state` before `split`; return the first part, a new object (`split_state`)."""
        first = ExtentState(state.start, split - 1, state.state, self._take())
        self.move_start(state, split)
        self.add_before(first, state)
        return first

    def _merge_prev_state(self, state: ExtentState) -> None:
        """Let `state` take in an equal state that ends where it starts (`merge_prev_state`)."""
        previous = state.prev
        if previous.state == state.state and previous.end == state.start - 1:
            self._erase(previous)
            self.move_start(state, previous.start)

    def _merge_next_state(self, state: ExtentState) -> None:
        """Let `state` take in an equal state that starts where it ends (`merge_next_state`)."""
        following = state.next
        if following.state == state.state and following.start == state.end + 1:
            self._erase(following)
            state.end = following.end

    def _merge_state(self, state: ExtentState) -> None:
        """Merge `state` with its neighbours unless it is locked or a boundary (`merge_state`)."""
        if state.state & self._no_merge:
            return
        self._merge_prev_state(state)
        self._merge_next_state(state)

    def _bits_to_clear(self, bits: int) -> int:
        if bits & self.bits.clear_all_bits:
            return self._stored
        if bits & self.bits.delalloc:
            bits |= self.bits.noreserve
        return bits & self._stored

    def _clear_state_bit(self, state: ExtentState, stored_bits: int, end: int) -> ExtentState:
        """Clear bits of a whole state; return the state to go on with (`clear_state_bit`)."""
        state.state &= ~stored_bits
        if state.state:
            self._merge_state(state)
        else:
            self._erase(state)
        return self._next_search_state(state, end)

    def _clears_all(self, state: ExtentState, bits: int) -> bool:
        """Tell whether nothing is left of `state` that needs a split; `bits` as the caller asked."""
        return self._trims and not state.state & ~(bits & self._stored)

    def _clear_first_part(self, state: ExtentState, end: int, bits: int, wanted: int) -> None:
        """Clear a state that goes on beyond `end` up to there."""
        if self._clears_all(state, bits):
            self.move_start(state, end + 1)
            return
        first = self._split_state(state, end + 1)
        self._clear_state_bit(first, wanted, end)

    # Looking at all of it.

    def states(self) -> list[tuple[int, int, int, int]]:
        """Return (start, end, bits, ident) of each state, in order."""
        return [(state.start, state.end, state.state, state.ident) for state in self]

    def validate(self, unfinished: Collection[int] = ()) -> None:
        """Raise InvariantError if the tree breaks an invariant (`reference.extent_state.invariants`)."""
        validate(self, unfinished)

    def copy(self) -> ExtentIoTree:
        """Return an independent tree in the same condition."""
        twin = ExtentIoTree(self.bits, self.behaviour)
        twin.copy_states(self)
        twin.supply = self.supply.copy()
        twin.unsupplied = self.unsupplied
        twin.erased = self.erased.copy()
        twin.failed_start = self.failed_start
        twin.need_resched = self.need_resched
        return twin
