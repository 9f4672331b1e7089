# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a sequence of operations that goes wrong as short and as simple as it can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from reference.fsx.operation import Kind, Operation
from reference.shrinking import fewer, smaller

__all__ = ["shrink"]

_SIMPLER = {
    Kind.DIRECT_WRITE: Kind.WRITE,
    Kind.MAP_WRITE: Kind.WRITE,
    Kind.DIRECT_READ: Kind.READ,
    Kind.MAP_READ: Kind.READ,
    Kind.ZERO_RANGE: Kind.ALLOCATE,
    Kind.REMOUNT: Kind.INVALIDATE,
}


_WHOLE_BLOCKS = {
    *(Kind.DIRECT_READ, Kind.DIRECT_WRITE, Kind.COLLAPSE_RANGE, Kind.INSERT_RANGE, Kind.CLONE, Kind.DEDUPE),
}


def shrink(
    operations: Sequence[Operation],
    fails: Callable[[Sequence[Operation]], bool],
    tries: int = 2000,
    block: int = 4096,
    align: int = 1,
) -> list[Operation]:
    """Return the simplest sequence found that still fails; `operations` itself if nothing simpler does.

    `fails` executes a sequence on a new file, and is called `tries` times at most. Multiples of `align` stay
    such, and whole blocks stay whole where a kind needs that. Of a failure that does not come every time,
    what is returned may not fail again.
    """
    return _Shrinking(fails, tries, block, align).result(list(operations))


class _Shrinking:
    def __init__(
        self, fails: Callable[[Sequence[Operation]], bool], tries: int, block: int, align: int
    ) -> None:
        self._fails = fails
        self._tries = tries
        self._block = block
        self._align = align

    def result(self, operations: list[Operation]) -> list[Operation]:
        while True:
            before = operations
            operations = self._nearer(self._simpler(fewer(operations, self._still)))
            if operations == before:
                return operations

    def _still(self, operations: Sequence[Operation]) -> bool:
        if not self._tries or not operations:
            return False
        self._tries -= 1
        return self._fails(operations)

    def _simpler(self, operations: list[Operation]) -> list[Operation]:
        for at in range(len(operations)):
            operations = self._simplest(operations, at)
        return operations

    def _simplest(self, operations: list[Operation], at: int) -> list[Operation]:
        """Replace the operation at `at` by simpler ones for as long as that still fails."""
        found = True
        while found:
            found = False
            for candidate in self._candidates(operations[at]):
                changed = [*operations[:at], candidate, *operations[at + 1 :]]
                if self._still(changed):
                    operations, found = changed, True
                    break
        return operations

    def _nearer(self, operations: list[Operation]) -> list[Operation]:
        """Move everything towards the beginning of the file."""
        unit = self._block if any(o.kind in _WHOLE_BLOCKS for o in operations) else self._align
        first = min((o.offset for o in operations if o.length and o.kind is not Kind.READ), default=0)
        first -= first % unit
        for offset in self._less(first, unit):
            moved = [_moved(operation, first - offset) for operation in operations]
            if self._still(moved):
                return moved
        return operations

    def _candidates(self, operation: Operation) -> Iterator[Operation]:
        kind, offset, length, to, seed = operation
        unit = self._block if kind in _WHOLE_BLOCKS else self._align
        if kind in _SIMPLER:
            yield operation._replace(kind=_SIMPLER[kind])
        for less in self._less(length, unit):
            if less:
                yield operation._replace(length=less)
                # The end may be what matters.
                yield operation._replace(offset=offset + length - less, length=less)
        yield from (operation._replace(offset=less) for less in self._less(offset, unit))
        yield from (operation._replace(to=less) for less in self._less(to, unit))
        if seed > 1:
            yield operation._replace(seed=1)

    def _less(self, number: int, unit: int) -> list[int]:
        return smaller(number, unit, self._block)


def _moved(operation: Operation, distance: int) -> Operation:
    offset, to = max(0, operation.offset - distance), max(0, operation.to - distance)
    return operation._replace(offset=offset, to=to)
