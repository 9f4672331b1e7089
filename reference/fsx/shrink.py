# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a sequence of operations that goes wrong as short and as simple as it can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from reference.fsx.operation import Kind, Operation

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
            operations = self._nearer(self._simpler(self._fewer(operations)))
            if operations == before:
                return operations

    def _still(self, operations: Sequence[Operation]) -> bool:
        if not self._tries or not operations:
            return False
        self._tries -= 1
        return self._fails(operations)

    def _fewer(self, operations: list[Operation]) -> list[Operation]:
        """Leave out halves, quarters, ..., single operations; from the end, as later ones need earlier."""
        width = len(operations)
        while width:
            end = len(operations)
            while end > 0:
                shorter = operations[: max(0, end - width)] + operations[end:]
                if self._still(shorter):
                    operations = shorter
                end -= width
            width //= 2
        return operations

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
        for offset in self._smaller(first, unit):
            moved = [_moved(operation, first - offset) for operation in operations]
            if self._still(moved):
                return moved
        return operations

    def _candidates(self, operation: Operation) -> Iterator[Operation]:
        kind, offset, length, to, seed = operation
        unit = self._block if kind in _WHOLE_BLOCKS else self._align
        if kind in _SIMPLER:
            yield operation._replace(kind=_SIMPLER[kind])
        for smaller in self._smaller(length, unit):
            if smaller:
                yield operation._replace(length=smaller)
                # The end may be what matters.
                yield operation._replace(offset=offset + length - smaller, length=smaller)
        yield from (operation._replace(offset=smaller) for smaller in self._smaller(offset, unit))
        yield from (operation._replace(to=smaller) for smaller in self._smaller(to, unit))
        if seed > 1:
            yield operation._replace(seed=1)

    def _smaller(self, number: int, unit: int) -> Iterator[int]:
        """Yield numbers below `number`, the smallest first; multiples of `unit` if it is one."""
        unit = 1 if number % unit else unit
        # Halves, then ever smaller steps: linear ones would use up the tries.
        steps = [max(unit, (number >> shift) // unit * unit) for shift in range(1, number.bit_length() + 1)]
        candidates = {0, unit, number // self._block * self._block, *(number - step for step in steps)}
        yield from sorted(candidate for candidate in candidates if 0 <= candidate < number)


def _moved(operation: Operation, distance: int) -> Operation:
    offset, to = max(0, operation.offset - distance), max(0, operation.to - distance)
    return operation._replace(offset=offset, to=to)
