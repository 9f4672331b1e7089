# SPDX-License-Identifier: GPL-2.0-or-later
"""Which objects are allocated: use after free, double free and leaks of a `kmem_cache`."""

from __future__ import annotations

from reference.machine.current import current, note
from reference.machine.findings import LeakedReference, UseAfterFree

__all__ = ["Slab", "SlabObject"]


class SlabObject:
    """What a Slab can keep account of; subclasses may have `__slots__`."""

    __slots__ = ("alive",)

    alive: bool


class Slab:
    """The live objects of one kind (`struct kmem_cache`). It holds no dead ones, so it does not grow.

    >>> from reference.machine import Slab, SlabObject
    >>> slab, state = Slab("extent_state"), SlabObject()
    >>> slab.born(state)
    >>> slab.died(state)
    >>> slab.check(state)
    Traceback (most recent call last):
        ...
    reference.machine.findings.UseAfterFree: UseAfterFree: nobody uses an extent_state that was freed
    """

    __slots__ = ("_live", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._live: dict[int, SlabObject] = {}

    def __len__(self) -> int:
        return len(self._live)

    def __getstate__(self) -> tuple[str, list[SlabObject]]:
        return self.name, self.leaks()

    def __setstate__(self, state: tuple[str, list[SlabObject]]) -> None:
        # Copies are other objects, with other ids.
        self.name, objects = state
        self._live = {id(obj): obj for obj in objects}

    def __fingerprint__(self) -> object:
        """How many there are: what they are is found where they are used."""
        return len(self._live)

    def born(self, obj: SlabObject) -> None:
        """Take note that `obj` was allocated (`kmem_cache_alloc`)."""
        obj.alive = True
        self._live[id(obj)] = obj

    def died(self, obj: SlabObject) -> None:
        """Take note that `obj` was freed (`kmem_cache_free`); raises UseAfterFree for one freed before."""
        if not obj.alive:
            raise UseAfterFree(f"{current().name} frees {_a(self.name)} that was freed")
        obj.alive = False
        del self._live[id(obj)]
        note(f"free {self.name}")

    def check(self, obj: SlabObject) -> None:
        """Raise UseAfterFree if `obj` was freed. Models call it where the C follows a pointer to it."""
        if not obj.alive:
            raise UseAfterFree(f"{current().name} uses {_a(self.name)} that was freed")

    def leaks(self) -> list[SlabObject]:
        """Return what is allocated, in order of allocation."""
        return list(self._live.values())

    def check_empty(self) -> None:
        """Raise LeakedReference if anything is allocated. Scenarios call it when all is released."""
        if self._live:
            raise LeakedReference(
                f"{len(self._live)} of {self.name} left: {', '.join(map(repr, self.leaks()))}"
            )


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"
