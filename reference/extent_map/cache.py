# SPDX-License-Identifier: GPL-2.0-or-later
"""Allocating extent states and extent maps: which of them live, and allocations that fail (`kmem_cache`)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Generic, TypeVar, cast

from reference.extent_map.objects import ExtentMap, ExtentState, poison
from reference.machine import LeakedReference, Slab, SlabObject

__all__ = ["Cache"]

T = TypeVar("T", ExtentState, ExtentMap)


class Cache(Generic[T]):
    """A `kmem_cache` of states or maps. `failing` has the numbers of the allocations that fail, from 1 on.

    With `accounted` false nothing is kept: freed objects are not noticed, and cost nothing.
    """

    __slots__ = ("_make", "_slab", "allocations", "failing")

    def __init__(self, name: str, make: Callable[[], T], *, accounted: bool = True) -> None:
        self._make: Callable[[], T] = make
        self._slab = Slab(name) if accounted else None
        self.allocations = 0
        """How many were asked for, those that failed included."""
        self.failing: Collection[int] = ()

    def __fingerprint__(self) -> object:
        """What is allocated; how often, only where that decides what fails."""
        return self._slab, self.failing, self.allocations if self.failing else 0

    def alloc(self) -> T | None:
        """Return a new object with one reference, or None if this allocation is to fail."""
        self.allocations += 1
        if self.allocations in self.failing:
            return None
        entry = self._make()
        if self._slab is not None:
            self._slab.born(cast("SlabObject", entry))
        return entry

    def free(self, entry: T) -> None:
        """Free `entry`, which nobody may use any more."""
        if self._slab is not None:
            self._slab.died(cast("SlabObject", entry))
            poison(entry)

    def live(self) -> int:
        """Return how many are allocated; 0 if nothing is accounted."""
        return len(self._slab) if self._slab is not None else 0

    def check_leaks(self, held: Collection[T]) -> None:
        """Raise LeakedReference if more is allocated than `held`, or one of those has two references."""
        known = {id(entry) for entry in held}
        lost = [entry for entry in self._slab.leaks() if id(entry) not in known] if self._slab else []
        if lost:
            raise LeakedReference(f"{len(lost)} allocated and in no tree: {lost[0]!r}")
        for entry in held:
            if entry.refs != 1:
                raise LeakedReference(f"{entry!r} is in the tree, unused, with {entry.refs} references")
