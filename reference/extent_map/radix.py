# SPDX-License-Identifier: GPL-2.0-or-later
"""The first version (fs/extent_map.c, 10 July 2007): radix trees."""

from __future__ import annotations

from errno import ENOMEM

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.bits import GFP_NOFS, GFP_WAIT, check_bits, check_range
from reference.extent_map.maps import Maps
from reference.extent_map.objects import ExtentMap
from reference.extent_map.radix_states import RadixStates
from reference.extent_map.states import Request, soft_lockup
from reference.extent_map.tree import ExtentMapTree, FailedStart
from reference.index import NodeSupply
from reference.machine import Steps, cond_resched

__all__ = ["RadixExtentMapTree"]


class RadixExtentMapTree(ExtentMapTree):
    """`struct extent_map_tree` of the first version; `supply` is where radix tree nodes come from."""

    states: RadixStates

    def __init__(
        self,
        behaviour: Behaviour,
        states: RadixStates,
        maps: Maps,
        supply: NodeSupply,
        mapping: object = None,
        *,
        strict: bool = False,
    ) -> None:
        super().__init__(behaviour, states, maps, mapping, strict=strict)
        self.supply = supply

    def add_extent_mapping(self, em: ExtentMap) -> Steps[int]:
        """Put `em` into the tree, which takes a reference; merge it with the one before it.

        Returns 0, -EEXIST or -ENOMEM. May sleep.
        """
        check_range(em.start, em.end)
        preloaded = yield from self._radix_tree_preload(GFP_NOFS)
        yield from self.lock.write_lock_irq()
        err = self.maps.add(em)
        if preloaded or self.behaviour.add_ignores_failed_preload:
            self._radix_tree_preload_end()
        self.write_unlock_irq()
        return err

    def set_extent_bit(
        self,
        start: int,
        end: int,
        bits: int,
        exclusive: bool,
        failed_start: FailedStart | None,
        mask: int,
    ) -> Steps[int]:
        """Set `bits` on [start, end]; return 0, -EEXIST or -ENOMEM, and where it failed in `failed_start`."""
        check_range(start, end)
        check_bits(bits)
        request = Request(start, end, bits, exclusive=exclusive, may_wait=bool(mask & GFP_WAIT))
        yield from self.lock.write_lock_irq()
        exact = self.states.set_exact(request)
        self.write_unlock_irq()
        if exact:
            if self.behaviour.exact_match_ends_no_preload:
                self._radix_tree_preload_end()
        else:
            yield from self._set_piecewise(request, mask)
        self._free_prealloc(request)
        if self.states.set_merges(request):
            yield from self._merge_state(start, end)
        if failed_start is not None and request.failed_start is not None:
            failed_start.value = request.failed_start
        return request.err

    def _set_piecewise(self, request: Request, mask: int) -> Steps[None]:
        """Set bits state by state, from the label `again` on."""
        behaviour = self.behaviour
        for _ in soft_lockup("set_extent_bit", len(self.states)):
            ready = yield from self._preallocate(
                request, mask, needed=behaviour.set_needs_memory, leaks=behaviour.set_leaks_prealloc
            )
            if ready and mask & GFP_WAIT:
                request.preloaded = yield from self._radix_tree_preload(mask)
                ready = request.preloaded or not behaviour.set_needs_memory
            if not ready:
                request.fail(-ENOMEM, request.start)
                return
            yield from self.lock.write_lock_irq()
            again = self.states.set_section(request)
            self.write_unlock_irq()
            if request.preloaded or (behaviour.atomic_set_ends_no_preload and not mask & GFP_WAIT):
                self._radix_tree_preload_end()
            if not again:
                return
            yield from self._resched(mask, in_atomic=behaviour.set_reschedules_in_atomic)

    def clear_extent_bit(
        self, start: int, end: int, bits: int, wake: bool, delete: bool, mask: int
    ) -> Steps[int]:
        """Clear `bits` on [start, end]; return those that were set somewhere, or -ENOMEM."""
        check_range(start, end)
        if bits or not delete:
            check_bits(bits)
        request = Request(start, end, bits, wake=wake, delete=delete, may_wait=bool(mask & GFP_WAIT))
        yield from self.lock.write_lock_irq()
        exact = self.states.clear_exact(request)
        self.write_unlock_irq()
        if not exact and not (yield from self._clear_piecewise(request, mask)):
            return -ENOMEM
        self._free_prealloc(request)
        if self.states.clear_merges(request):
            yield from self._merge_state(start, end)
        return request.err or request.found

    def _clear_piecewise(self, request: Request, mask: int) -> Steps[bool]:
        """Clear bits state by state, from the label `again` on; return False if it gave up at once."""
        behaviour = self.behaviour
        for _ in soft_lockup("clear_extent_bit", len(self.states)):
            if not (yield from self._preallocate(request, mask, needed=behaviour.clear_needs_memory)):
                return False
            request.preloaded = bool(mask & GFP_WAIT) and (yield from self._radix_tree_preload(GFP_NOFS))
            yield from self.lock.write_lock_irq()
            again = self.states.clear_section(request)
            self.write_unlock_irq()
            if self._ends_preload(request, mask, again):
                self._radix_tree_preload_end()
            if not again:
                break
            yield from self._resched(mask, in_atomic=behaviour.clear_reschedules_in_atomic)
        return True

    def _ends_preload(self, request: Request, mask: int, again: bool) -> bool:
        """Tell whether clear_extent_bit calls radix_tree_preload_end after a section."""
        if request.preloaded:
            return again or not self.behaviour.clear_keeps_preemption_off
        if mask & GFP_WAIT:
            return again and self.behaviour.clear_ignores_failed_preload
        return again and self.behaviour.atomic_clear_ends_no_preload

    def _merge_state(self, start: int, end: int) -> Steps[None]:
        yield from self.lock.write_lock_irq()
        self.states.merge_state(start, end)
        self.write_unlock_irq()

    def _radix_tree_preload(self, mask: int) -> Steps[bool]:
        """Fill up the CPU's spare nodes and turn preemption off; return False, with it on, without memory."""
        yield from self._may_sleep(mask, "radix_tree_preload")
        if self.supply.radix_tree_preload():
            return False
        self.atomicity.preempt_disable()
        return True

    def _radix_tree_preload_end(self) -> None:
        self.supply.radix_tree_preload_end()
        self.atomicity.preempt_enable()

    def _resched(self, mask: int, *, in_atomic: bool) -> Steps[None]:
        if mask & GFP_WAIT or in_atomic:
            self.atomicity.might_sleep("cond_resched")
            yield from cond_resched()

    def _lock_to_wait(self) -> Steps[None]:
        return self.lock.write_lock_irq()

    def _unlock_to_wait(self) -> None:
        self.write_unlock_irq()
