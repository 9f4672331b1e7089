# SPDX-License-Identifier: GPL-2.0-or-later
"""What both versions of the state tree share: allocating, splitting, waking, and whole calls at once.

What is done under one hold of `tree->lock` is one plain method, a *section*. A `Request` carries a call from
one section to the next. `tree.py` takes the lock, preallocates and sleeps between them; the methods here that
have the names of the kernel's functions do one section after the other with nothing in between, for millions
of operations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from errno import EEXIST, ENOMEM

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.bits import ALL_BITS, EXTENT_IOBITS, check_bits, check_range
from reference.extent_map.cache import Cache
from reference.extent_map.invariants import validate_states
from reference.extent_map.objects import ExtentState
from reference.index import U64_MAX, ExtentIndex, OutOfNodesError
from reference.machine import BUG_ON, WARN_ON, Bug

__all__ = ["Request", "States", "soft_lockup"]


class Request:
    """A call of set_extent_bit or clear_extent_bit between two holds of the lock: C's local variables."""

    __slots__ = (
        "bits",
        "delete",
        "end",
        "err",
        "exclusive",
        "failed_start",
        "found",
        "ioset",
        "may_wait",
        "prealloc",
        "preloaded",
        "start",
        "wake",
    )

    def __init__(
        self,
        start: int,
        end: int,
        bits: int,
        *,
        exclusive: bool = False,
        wake: bool = False,
        delete: bool = False,
        may_wait: bool = False,
    ) -> None:
        self.start = start
        """Where the rest of the range begins."""
        self.end = end
        self.bits = bits
        self.exclusive = exclusive
        self.wake = wake
        self.delete = delete
        self.err = 0
        """0, -EEXIST or -ENOMEM."""
        self.failed_start: int | None = None
        """Where it failed."""
        self.found = 0
        """Those of `bits` that a clear met."""
        self.ioset = 0
        self.may_wait = may_wait
        """Whether the mask has __GFP_WAIT."""
        self.prealloc: ExtentState | None = None
        self.preloaded = False

    def fail(self, err: int, at: int) -> bool:
        """Note that the call ends with `err` at the offset `at`; return False, there is no next section."""
        self.err = err
        self.failed_start = at
        return False


class States(ABC):
    """The state tree (`tree->state`): byte ranges with EXTENT_ bits, disjoint, over any index.

    Offsets are bytes, ends inclusive.
    """

    __slots__ = ("_request", "_set_wraps", "behaviour", "cache", "index")

    def __init__(
        self,
        index: ExtentIndex[ExtentState],
        behaviour: Behaviour,
        cache: Cache[ExtentState] | None = None,
    ) -> None:
        self.index = index
        self.behaviour = behaviour
        self.cache = cache or Cache("extent_state", ExtentState, accounted=False)
        self._set_wraps = behaviour.set_wraps
        self._request = Request(0, 0, 0)

    # Whole calls at once.

    def set_extent_bit(self, start: int, end: int, bits: int, exclusive: bool = False) -> int | None:
        """Set `bits` on [start, end]; return None, or with `exclusive` the first byte that had one already.

        What lies before that byte keeps what was set. Raises BadRangeError, BadBitsError; MemoryError if an
        allocation fails.
        """
        if start > end or start < 0 or end > U64_MAX or bits & ~ALL_BITS or not bits:
            check_range(start, end)
            check_bits(bits)
        request = self._request
        request.start = start
        request.end = end
        request.bits = bits
        request.exclusive = exclusive
        request.err = 0
        self._set(request)
        if not request.err:
            return None
        if request.err == -ENOMEM:
            raise MemoryError("no memory for an extent_state")
        return request.failed_start

    def clear_extent_bit(
        self, start: int, end: int, bits: int, wake: bool = False, delete: bool = False
    ) -> int:
        """Clear `bits` on [start, end], or all with `delete`; return those of `bits` that were set somewhere.

        Raises as `set_extent_bit` does.
        """
        if start > end or start < 0 or end > U64_MAX or bits & ~ALL_BITS or not (bits or delete):
            check_range(start, end)
            check_bits(bits)
        request = self._request
        request.start = start
        request.end = end
        request.bits = bits
        request.wake = wake
        request.delete = delete
        request.err = request.found = 0
        self._clear(request)
        if request.err:
            raise MemoryError("no memory for an extent_state")
        return request.found

    @abstractmethod
    def _set(self, request: Request) -> None:
        """Do all sections of a set."""

    @abstractmethod
    def _clear(self, request: Request) -> None:
        """Do all sections of a clear."""

    # Sections.

    @abstractmethod
    def set_section(self, request: Request) -> bool:
        """Set bits until the C drops the lock; return whether it searches again from `request.start`."""

    @abstractmethod
    def clear_section(self, request: Request) -> bool:
        """Clear bits until the C drops the lock; return whether it searches again from `request.start`."""

    @abstractmethod
    def test_range_bit(self, start: int, end: int, bits: int, filled: bool) -> int:
        """Tell (0 or 1) whether a byte of [start, end] has one of `bits`; with `filled`, whether each has.

        To be called with the lock held for reading.
        """

    # Steps of a section.

    def free_extent_state(self, state: ExtentState) -> None:
        """Drop a reference to `state`, and free it with the last (`free_extent_state`)."""
        state.refs -= 1
        if not state.refs:
            if self.behaviour.structure == "rbtree":
                WARN_ON(state.in_tree, "state->in_tree")
            self.cache.free(state)

    def insert_state(
        self, state: ExtentState, start: int, end: int, bits: int, following: ExtentState | None
    ) -> int:
        """Put `state` into the tree as [start, end] with `bits`; free it if that fails (`insert_state`).

        `following` is the state that the search found behind `start`. Returns 0, -EEXIST or -ENOMEM.
        """
        state.state |= bits
        state.start = start
        state.end = end
        err = self._tree_insert(state, following)
        if err:
            self.free_extent_state(state)
        return err

    def split_state(self, orig: ExtentState, prealloc: ExtentState, split: int) -> int:
        """Cut `orig` before `split`; `prealloc` becomes its first part, or is freed (`split_state`).

        Returns 0, -EEXIST or -ENOMEM.
        """
        prealloc.start = orig.start
        prealloc.end = split - 1
        prealloc.state = orig.state
        err = self._tree_insert(prealloc, orig)
        if err:
            self.free_extent_state(prealloc)
            return err
        orig.start = split
        if orig.wq is not None and not self.behaviour.split_strands_waiters:
            orig.wq.wake_up()
        return 0

    def _tree_insert(self, state: ExtentState, following: ExtentState | None) -> int:
        index = self.index
        try:
            other = index.insert(state) if following is None else index.insert_before(state, following)
        except OutOfNodesError:
            return -ENOMEM
        if other is not None:
            return -EEXIST
        state.in_tree = True
        return 0

    def _take_prealloc(self, request: Request, null: bool) -> ExtentState | None:
        """Return the preallocated state, or else allocate one without sleeping.

        If that fails, None, and `request` has failed. `null` is the defect of taking it for granted.
        """
        state = request.prealloc
        request.prealloc = None
        if state is not None:
            return state
        if null and not request.may_wait:
            raise Bug("NULL pointer dereference: prealloc under GFP_ATOMIC")
        state = self.cache.alloc()
        if state is None:
            request.fail(-ENOMEM, request.start)
        return state

    def _merged_away(self, state: ExtentState) -> None:
        """Take `state` out of the tree, whose range another has now. Waiters are to look for that one."""
        self.index.erase(state)
        state.in_tree = False
        if state.wq is not None and not self.behaviour.merge_strands_waiters:
            state.wq.wake_up()
        self.free_extent_state(state)

    def _split_head(self, request: Request, state: ExtentState, null: bool) -> bool:
        """Split what lies before the range off `state`; False if that failed."""
        prealloc = self._take_prealloc(request, null)
        if prealloc is None:
            return False
        err = self.split_state(state, prealloc, request.start)
        BUG_ON(err == -EEXIST, "err == -EEXIST")
        if err:
            request.fail(err, request.start)
        return not err

    def _split_tail(
        self, request: Request, state: ExtentState, null: bool, unchecked: bool
    ) -> ExtentState | None:
        """Split what lies behind the range off `state`; return the part in the range, None if that failed."""
        prealloc = self._take_prealloc(request, null)
        if prealloc is None:
            return None
        err = self.split_state(state, prealloc, request.end + 1)
        BUG_ON(err == -EEXIST, "err == -EEXIST")
        if err:
            request.fail(err, request.start)
            return prealloc if unchecked else None
        return prealloc

    def _insert_range(self, request: Request, end: int, following: ExtentState | None) -> bool:
        """Put a new state on [request.start, end], before `following`; False if that failed."""
        prealloc = self._take_prealloc(request, self.behaviour.set_without_prealloc)
        if prealloc is None:
            return False
        err = self.insert_state(prealloc, request.start, end, request.bits, following)
        BUG_ON(err == -EEXIST, "err == -EEXIST")
        if err:
            request.fail(err, request.start)
        return not err

    def _overlooks_hole(self, request: Request, following: ExtentState) -> bool:
        """Tell whether a hole is left out because the state behind it reaches beyond the range."""
        return self.behaviour.tail_hides_hole and following.start <= request.end < following.end

    def _fill_hole(self, request: Request, following: ExtentState) -> bool:
        """Fill the hole before `following`; return whether to search again."""
        last = following.start if self.behaviour.hole_insert_overlaps else following.start - 1
        this_end = min(request.end, last)
        if not self._insert_range(request, this_end, following):
            return False
        request.start = this_end + 1
        return self._set_goes_on(request)

    def _set_goes_on(self, request: Request) -> bool:
        if self._set_wraps:
            request.start &= U64_MAX
        return request.start <= request.end

    def _clears_nothing(self, request: Request, state: ExtentState) -> bool:
        """Tell whether `state` has none of the bits, so that it need not be split where the range cuts it."""
        if request.delete or state.state & request.bits or self.behaviour.clear_splits_in_vain:
            return False
        return state.start < request.start or state.end > request.end

    def _clear_goes_on(self, request: Request) -> bool:
        if self.behaviour.clear_wraps:
            request.start &= U64_MAX
        if self.behaviour.clear_stops_before_last_byte:
            return request.start < request.end
        return request.start <= request.end

    # Looking at all of it.

    def __iter__(self) -> Iterator[ExtentState]:
        return iter(self.index)

    def __len__(self) -> int:
        return len(self.index)

    def states(self) -> list[tuple[int, int, int]]:
        """Return (start, end, bits) of each state, in order."""
        return [(state.start, state.end, state.state) for state in self.index]

    def first_with(self, start: int, end: int, bits: int) -> ExtentState | None:
        """Return the first state in [start, end] that has one of `bits`, or None. For oracles: no work."""
        for state in self.index:
            if state.start > end:
                return None
            if state.end >= start and state.state & bits:
                return state
        return None

    def validate(self, unfinished: Collection[int] = ()) -> None:
        """Raise InvariantError if an invariant is broken (invariants.py).

        `unfinished` are the starts that requests are to go on from, where equal neighbours may touch.
        """
        validate_states(self.index, EXTENT_IOBITS, unfinished)


def soft_lockup(what: str, states: int) -> Iterator[int]:
    """Count the rounds of a loop over a tree of `states`; Bug once no tree of that size can need as many."""
    rounds = 16 * states + 64
    yield from range(rounds)
    raise Bug(f"soft lockup: {what} goes on after {rounds} rounds")
