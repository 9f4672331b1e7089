# SPDX-License-Identifier: GPL-2.0-or-later
"""The second version (fs/extent_map.c, 24 July 2007): rbtrees."""

from __future__ import annotations

from errno import EEXIST, ENOMEM

from reference.extent_map.bits import GFP_WAIT, check_bits, check_range
from reference.extent_map.objects import ExtentMap
from reference.extent_map.states import Request, soft_lockup
from reference.extent_map.tree import ExtentMapTree, FailedStart
from reference.machine import Steps, cond_resched

__all__ = ["RbtreeExtentMapTree"]


class RbtreeExtentMapTree(ExtentMapTree):
    """`struct extent_map_tree` of the second version."""

    def add_extent_mapping(self, em: ExtentMap) -> Steps[int]:
        """Put `em` into the tree, which takes a reference; merge it with the one before it.

        Returns 0 or -EEXIST.
        """
        check_range(em.start, em.end)
        yield from self.lock.write_lock_irq()
        err = self.maps.add(em)
        if err != -EEXIST or not self.behaviour.failed_add_keeps_lock:
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
        behaviour = self.behaviour
        for _ in soft_lockup("set_extent_bit", len(self.states)):
            ready = yield from self._preallocate(
                request, mask, needed=behaviour.set_needs_memory, leaks=behaviour.set_leaks_prealloc
            )
            if not ready:
                request.fail(-ENOMEM, request.start)
                break
            yield from self.lock.write_lock_irq()
            again = self.states.set_section(request)
            self.write_unlock_irq()
            if not again:
                break
            yield from self._resched(mask)
        self._free_prealloc(request)
        if failed_start is not None and request.failed_start is not None:
            failed_start.value = request.failed_start
        return request.err

    def clear_extent_bit(
        self, start: int, end: int, bits: int, wake: bool, delete: bool, mask: int
    ) -> Steps[int]:
        """Clear `bits` on [start, end]; return those that were set somewhere, or -ENOMEM."""
        check_range(start, end)
        if bits or not delete:
            check_bits(bits)
        request = Request(start, end, bits, wake=wake, delete=delete, may_wait=bool(mask & GFP_WAIT))
        for _ in soft_lockup("clear_extent_bit", len(self.states)):
            if not (yield from self._preallocate(request, mask, needed=self.behaviour.clear_needs_memory)):
                return -ENOMEM
            yield from self.lock.write_lock_irq()
            again = self.states.clear_section(request)
            self.write_unlock_irq()
            if not again:
                break
            yield from self._resched(mask)
        self._free_prealloc(request)
        return request.err or request.found

    def _resched(self, mask: int) -> Steps[None]:
        if mask & GFP_WAIT:
            self.atomicity.might_sleep("cond_resched")
            yield from cond_resched()

    def _lock_to_wait(self) -> Steps[None]:
        return self.lock.read_lock_irq()

    def _unlock_to_wait(self) -> None:
        self.read_unlock_irq()
