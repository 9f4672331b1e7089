# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree of extent maps and states that a file has (`struct extent_map_tree`), as its users call it.

Functions that can sleep or that take the lock are `Steps`. Masks are `GFP_NOFS` (a task, may sleep) or
`GFP_ATOMIC`. Ranges are bytes with inclusive ends; BadRangeError and BadBitsError are raised before anything
is done. Errors are negative, as in C.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from errno import EEXIST

from reference.extent_map.atomicity import Atomicity
from reference.extent_map.behaviour import Behaviour
from reference.extent_map.bits import (
    EXTENT_DIRTY,
    EXTENT_LOCKED,
    EXTENT_NEW,
    EXTENT_UPTODATE,
    EXTENT_WRITEBACK,
    GFP_WAIT,
    check_bits,
    check_range,
)
from reference.extent_map.cache import Cache
from reference.extent_map.maps import Maps
from reference.extent_map.objects import ExtentMap, ExtentState
from reference.extent_map.states import Request, States, soft_lockup
from reference.index import U64_MAX
from reference.machine import PREEMPT, WARN_ON, RwLock, Steps, WaitQueue

__all__ = ["ExtentMapTree", "FailedStart"]


class FailedStart:
    """Where set_extent_bit failed (`u64 *failed_start`), bytes."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class ExtentMapTree(ABC):
    """What both versions share; they differ in set_extent_bit, clear_extent_bit and add_extent_mapping.

    `states` and `maps` are the two trees, without the lock. Allocations of `state_cache` and `map_cache` can
    be made to fail. `mapping` is whatever the file's pages are in; nothing here uses it.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        states: States,
        maps: Maps,
        mapping: object = None,
        *,
        strict: bool = False,
    ) -> None:
        self.behaviour = behaviour
        self.states = states
        self.maps = maps
        self.mapping = mapping
        self.lock = RwLock("tree->lock")
        self.atomicity = Atomicity(strict=strict)

    @property
    def state_cache(self) -> Cache[ExtentState]:
        """`extent_state_cache`."""
        return self.states.cache

    @property
    def map_cache(self) -> Cache[ExtentMap]:
        """`extent_map_cache`."""
        return self.maps.cache

    # Extent maps.

    def alloc_extent_map(self, mask: int) -> Steps[ExtentMap | None]:
        """Return a new map with one reference, or None without memory (`alloc_extent_map`)."""
        yield from self._may_sleep(mask, "alloc_extent_map")
        return self.map_cache.alloc()

    def free_extent_map(self, em: ExtentMap) -> None:
        """Drop a reference to `em` (`free_extent_map`)."""
        self.maps.free_extent_map(em)

    @abstractmethod
    def add_extent_mapping(self, em: ExtentMap) -> Steps[int]:
        """Put `em` into the tree, which takes a reference; merge it with the one before it.

        Returns 0, -EEXIST or -ENOMEM. May sleep in the first version.
        """

    def lookup_extent_mapping(self, start: int, end: int) -> Steps[ExtentMap | None]:
        """Return the first map that has a byte of [start, end], with a reference for the caller, or None."""
        check_range(start, end)
        yield from self.lock.read_lock_irq()
        em = self.maps.lookup(start, end)
        self.read_unlock_irq()
        return em

    def remove_extent_mapping(self, em: ExtentMap) -> Steps[int]:
        """Take `em` out of the tree; return 0, or -ENOENT. The tree's reference is the caller's to drop."""
        yield from self.lock.write_lock_irq()
        ret = self.maps.remove(em)
        self.write_unlock_irq()
        return ret

    # Bits of states.

    @abstractmethod
    def set_extent_bit(
        self,
        start: int,
        end: int,
        bits: int,
        exclusive: bool,
        failed_start: FailedStart | None,
        mask: int,
    ) -> Steps[int]:
        """Set `bits` on [start, end]; return 0, -EEXIST or -ENOMEM, and where it failed in `failed_start`.

        With `exclusive`, -EEXIST where one of `bits` is set already; what lies before keeps what was set.
        """

    @abstractmethod
    def clear_extent_bit(
        self, start: int, end: int, bits: int, wake: bool, delete: bool, mask: int
    ) -> Steps[int]:
        """Clear `bits` on [start, end], or all of them with `delete`; `wake` those who wait.

        Returns those of `bits` that were set somewhere in the range, or -ENOMEM.
        """

    def set_extent_dirty(self, start: int, end: int, mask: int) -> Steps[int]:
        """Set EXTENT_DIRTY on [start, end]."""
        return self.set_extent_bit(start, end, EXTENT_DIRTY, False, None, mask)

    def clear_extent_dirty(self, start: int, end: int, mask: int) -> Steps[int]:
        """Clear EXTENT_DIRTY on [start, end]."""
        return self.clear_extent_bit(start, end, EXTENT_DIRTY, False, False, mask)

    def set_extent_new(self, start: int, end: int, mask: int) -> Steps[int]:
        """Set EXTENT_NEW on [start, end]."""
        return self.set_extent_bit(start, end, EXTENT_NEW, False, None, mask)

    def clear_extent_new(self, start: int, end: int, mask: int) -> Steps[int]:
        """Clear EXTENT_NEW on [start, end]."""
        return self.clear_extent_bit(start, end, EXTENT_NEW, False, False, mask)

    def set_extent_uptodate(self, start: int, end: int, mask: int) -> Steps[int]:
        """Set EXTENT_UPTODATE on [start, end]."""
        return self.set_extent_bit(start, end, EXTENT_UPTODATE, False, None, mask)

    def clear_extent_uptodate(self, start: int, end: int, mask: int) -> Steps[int]:
        """Clear EXTENT_UPTODATE on [start, end]."""
        return self.clear_extent_bit(start, end, EXTENT_UPTODATE, False, False, mask)

    def set_extent_writeback(self, start: int, end: int, mask: int) -> Steps[int]:
        """Set EXTENT_WRITEBACK on [start, end]."""
        return self.set_extent_bit(start, end, EXTENT_WRITEBACK, False, None, mask)

    def clear_extent_writeback(self, start: int, end: int, mask: int) -> Steps[int]:
        """Clear EXTENT_WRITEBACK on [start, end] and wake those who wait for that."""
        return self.clear_extent_bit(start, end, EXTENT_WRITEBACK, True, False, mask)

    def wait_on_extent_writeback(self, start: int, end: int) -> Steps[int]:
        """Sleep until no byte of [start, end] is under EXTENT_WRITEBACK."""
        return self.wait_extent_bit(start, end, EXTENT_WRITEBACK)

    def lock_extent(self, start: int, end: int, mask: int) -> Steps[int]:
        """Set EXTENT_LOCKED on [start, end], in ascending order, sleeping where another has it.

        Returns 0; -ENOMEM; under GFP_ATOMIC -EEXIST. With an error nothing is locked.
        """
        at = start
        failed_start = FailedStart()
        while True:
            err = yield from self.set_extent_bit(at, end, EXTENT_LOCKED, True, failed_start, mask)
            if err != -EEXIST or not mask & GFP_WAIT:
                break
            yield from self.wait_extent_bit(failed_start.value, end, EXTENT_LOCKED)
            at = failed_start.value
            WARN_ON(at > end, "start > end")
        if err and start < failed_start.value and not self.behaviour.lock_keeps_part:
            yield from self.unlock_extent(start, failed_start.value - 1, mask)
        return err

    def unlock_extent(self, start: int, end: int, mask: int) -> Steps[int]:
        """Clear EXTENT_LOCKED on [start, end] and wake those who wait for that."""
        return self.clear_extent_bit(start, end, EXTENT_LOCKED, True, False, mask)

    def wait_extent_bit(self, start: int, end: int, bits: int) -> Steps[int]:
        """Sleep until no byte of [start, end] has one of `bits`; return 0.

        The C also drops the lock between two states where need_resched() asks for it; that is left out.
        """
        check_range(start, end)
        check_bits(bits)
        yield from self._lock_to_wait()
        at: int | None = start
        while at is not None:
            state, at = self._next_to_wait_on(at, start, end, bits)
            if state is not None:
                state.refs += 1
                yield from self._wait_on_state(state, start, end, bits)
                self.states.free_extent_state(state)
        self._unlock_to_wait()
        return 0

    def _next_to_wait_on(
        self, at: int, start: int, end: int, bits: int
    ) -> tuple[ExtentState, int] | tuple[None, None]:
        """Return the first state from `at` on with one of `bits`, and where to go on; or two None."""
        for _ in soft_lockup("wait_extent_bit", len(self.states)):
            state = self.states.index.search(at)
            if state is None or state.start > end:
                break
            if state.state & bits:
                return state, state.start if self.behaviour.wait_goes_back else max(state.start, start)
            at = state.end + 1
            if self.behaviour.wait_wraps:
                at &= U64_MAX
            if at > end:
                break
        return None, None

    def _wait_on_state(self, state: ExtentState, start: int, end: int, bits: int) -> Steps[None]:
        """Sleep until somebody wakes `state`, with the lock dropped (`wait_on_state`)."""
        if state.wq is None:
            state.wq = WaitQueue(f"wq of {state}")
        waiter = state.wq.prepare_to_wait()
        self._unlock_to_wait()
        self.atomicity.might_sleep("wait_on_state")
        yield from waiter.schedule(until=lambda: self.states.first_with(start, end, bits) is None)
        yield from self._lock_to_wait()
        # The first version leaves this out; DEFINE_WAIT lets the waker take the waiter off the queue.
        state.wq.finish_wait(waiter)

    @abstractmethod
    def _lock_to_wait(self) -> Steps[None]:
        """Take the lock as wait_extent_bit does."""

    @abstractmethod
    def _unlock_to_wait(self) -> None:
        """Release it."""

    def test_range_bit(self, start: int, end: int, bits: int, filled: bool) -> Steps[int]:
        """Return 1 if a byte of [start, end] has one of `bits`, or with `filled` if each has; else 0."""
        check_range(start, end)
        check_bits(bits)
        yield from self.lock.read_lock_irq()
        bitset = self.states.test_range_bit(start, end, bits, filled)
        self.read_unlock_irq()
        return bitset

    # Steps.

    def read_unlock_irq(self) -> None:
        """Release the lock held for reading; in interrupts, unless corrected, interrupts come on with it."""
        self.lock.read_unlock_irq()
        if self.behaviour.unlock_enables_irqs:
            self.atomicity.enables_irqs("read_unlock_irq(tree->lock)")

    def write_unlock_irq(self) -> None:
        """Release the lock held for writing; in interrupts, unless corrected, interrupts come on with it."""
        self.lock.write_unlock_irq()
        if self.behaviour.unlock_enables_irqs:
            self.atomicity.enables_irqs("write_unlock_irq(tree->lock)")

    def _may_sleep(self, mask: int, what: str) -> Steps[None]:
        if mask & GFP_WAIT:
            self.atomicity.might_sleep(what)
            yield PREEMPT

    def _preallocate(self, request: Request, mask: int, *, needed: bool, leaks: bool = False) -> Steps[bool]:
        """Allocate a state if there is none in hand; return whether the call can go on.

        `needed` and `leaks` are the defects of giving up without one, and of not looking for one in hand.
        """
        if not mask & GFP_WAIT or (request.prealloc is not None and not leaks):
            return True
        yield from self._may_sleep(mask, "alloc_extent_state")
        request.prealloc = self.state_cache.alloc()
        return request.prealloc is not None or not needed

    def _free_prealloc(self, request: Request) -> None:
        if request.prealloc is not None:
            self.states.free_extent_state(request.prealloc)
            request.prealloc = None

    # Checks.

    def validate(self, unfinished: Collection[int] = ()) -> None:
        """Raise InvariantError if either tree breaks an invariant (invariants.py).

        `unfinished` are where calls that failed with -ENOMEM may have left a state split.
        """
        self.states.validate(unfinished)
        self.maps.validate()

    def check_quiet(self) -> None:
        """Raise the Finding for what is left when nobody uses the tree: references, preemption off."""
        self.state_cache.check_leaks(list(self.states))
        self.map_cache.check_leaks(list(self.maps))
        self.atomicity.check_balanced()
