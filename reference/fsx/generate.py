# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes random operations that a file of the present size accepts, crowded where files go wrong.

All draws come from one source of random numbers, so a seed gives the same operations again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from reference.fsx.file import ByteFile
from reference.fsx.operation import Kind, Operation

__all__ = ["Mix", "Random", "generate"]

GROWING = frozenset(
    {Kind.WRITE, Kind.DIRECT_WRITE, Kind.TRUNCATE, Kind.ALLOCATE, Kind.ZERO_RANGE},
)
"""What can make an empty file grow."""
WEIGHTS: Mapping[Kind, int] = MappingProxyType(
    dict.fromkeys(Kind, 12)
    # Most others make zeroes, and what reads as zero by mistake must differ from what is.
    | {Kind.WRITE: 24, Kind.DIRECT_WRITE: 16, Kind.MAP_WRITE: 16}
    | {Kind.DEDUPE: 6, Kind.FSYNC: 6, Kind.INVALIDATE: 4, Kind.REMOUNT: 1}
)
"""How often each kind is drawn unless a mix says otherwise."""


class Random(Protocol):
    """The part of random.Random that is used."""

    def random(self) -> float:
        """Return a number x, 0 <= x < 1."""


@dataclass(frozen=True)
class Mix:
    """Which operations, and how large."""

    weights: Mapping[Kind, int] = field(default_factory=lambda: WEIGHTS)
    """How often each kind is drawn against the others; those left out never are."""
    max_size: int = 256 << 10
    """The file never ends beyond this, bytes; a multiple of `block`."""
    max_length: int = 64 << 10
    """The longest range of one operation, bytes; at least `block`."""
    align: int = 1
    """Offsets, lengths and sizes are multiples of this, bytes; it divides `block`."""
    block: int = 4096
    """Alignment of direct I/O, collapse, insert, clone and dedupe, bytes."""

    def __post_init__(self) -> None:
        if any(weight < 0 for weight in self.weights.values()):
            raise ValueError("a weight of a mix is negative")
        if not any(self.weights.get(kind) for kind in GROWING):
            raise ValueError(f"the mix lets no file grow: it needs one of {', '.join(sorted(GROWING))}")
        if self.align < 1 or self.block % self.align:
            raise ValueError(f"align, {self.align}, does not divide the block of {self.block} bytes")
        if self.max_size < self.block or self.max_size % self.block:
            raise ValueError(f"max_size, {self.max_size}, is no multiple of the block of {self.block} bytes")
        if self.max_length < self.block:
            raise ValueError(f"max_length, {self.max_length}, is less than the block of {self.block} bytes")


def generate(mix: Mix, rng: Random, file: ByteFile) -> Iterator[Operation]:
    """Yield operations without end, each for the size that `file` has when it is asked for."""
    draw = _Draw(mix, rng)
    data = file.data
    while True:
        yield draw.operation(len(data))


_Maker = Callable[[Kind, int], Operation | None]


class _Draw:
    """Draws operations. Makers get the kind and the size; None says that there is no such thing now."""

    def __init__(self, mix: Mix, rng: Random) -> None:
        self._random = rng.random
        self._max_size, self._max_length = mix.max_size, mix.max_length
        self._align, self._block = mix.align, mix.block
        self._copied: tuple[int, int, int] | None = None
        makers: dict[Kind, _Maker] = {
            Kind.READ: self._within,
            Kind.DIRECT_READ: self._blocks,
            Kind.MAP_READ: self._within,
            Kind.WRITE: self._write,
            Kind.DIRECT_WRITE: self._write_blocks,
            Kind.MAP_WRITE: self._write_within,
            Kind.TRUNCATE: self._size,
            Kind.COLLAPSE_RANGE: self._collapse,
            Kind.INSERT_RANGE: self._insert,
            Kind.CLONE: self._clone,
            Kind.DEDUPE: self._dedupe,
            Kind.COPY: self._copy,
            **dict.fromkeys((Kind.FSYNC, Kind.INVALIDATE, Kind.REMOUNT), self._whole),
        }
        self._table = [
            (kind, makers.get(kind, self._anywhere))
            for kind, weight in mix.weights.items()
            for _ in range(weight)
        ]

    def operation(self, size: int) -> Operation:
        table = self._table
        while True:
            kind, make = table[int(self._random() * len(table))]
            operation = make(kind, size)
            if operation is not None:
                return operation

    def _whole(self, kind: Kind, _size: int) -> Operation:
        return Operation(kind)

    def _anywhere(self, kind: Kind, size: int) -> Operation:
        return Operation(kind, *self._range(self._max_size, size, self._align))

    def _within(self, kind: Kind, size: int) -> Operation | None:
        return Operation(kind, *self._range(size, size, self._align)) if size >= self._align else None

    def _blocks(self, kind: Kind, size: int) -> Operation:
        return Operation(kind, *self._range(self._max_size, size, self._block))

    def _write(self, kind: Kind, size: int) -> Operation:
        return Operation(kind, *self._range(self._max_size, size, self._align), 0, self._seed())

    def _write_within(self, kind: Kind, size: int) -> Operation | None:
        if size < self._align:
            return None
        return Operation(kind, *self._range(size, size, self._align), 0, self._seed())

    def _write_blocks(self, kind: Kind, size: int) -> Operation:
        return Operation(kind, *self._range(self._max_size, size, self._block), 0, self._seed())

    def _size(self, kind: Kind, size: int) -> Operation:
        draw = self._random()
        if draw < 0.5:
            # Near the present end, or files would be cut to half again and again.
            near = size + int((4 * draw - 1) * 2 * self._block)
            target = min(max(near, 0), self._max_size)
        else:
            target = int((2 * draw - 1) * (self._max_size + 1))
        return Operation(kind, target - target % self._align)

    def _collapse(self, kind: Kind, size: int) -> Operation | None:
        # Something must remain behind the range.
        end = size - 1
        return Operation(kind, *self._range(end, size, self._block)) if end >= self._block else None

    def _insert(self, kind: Kind, size: int) -> Operation | None:
        room = self._max_size - size
        if not size or room < self._block:
            return None
        _, length = self._range(room, size, self._block)
        return Operation(kind, self._at(size, self._block), length)

    def _clone(self, kind: Kind, size: int) -> Operation | None:
        if size < self._block:
            return None
        offset, length = self._range(size, size, self._block)
        to = self._at(self._max_size - length + 1, self._block)
        if self._random() < 0.125:
            # The file's end, perhaps a part of a block, which must become the end.
            length = size - offset
            to = size + -size % self._block
            if length > self._max_length or to + length > self._max_size:
                return None
        return self._pair(kind, offset, length, to)

    def _dedupe(self, kind: Kind, size: int) -> Operation | None:
        if size < self._block:
            return None
        # Ranges drawn at random are never the same, but for holes; what was cloned last may still be.
        if self._copied and self._random() < 0.5:
            offset, length, to = self._copied
            return Operation(kind, offset, length, to) if max(offset, to) + length <= size else None
        offset, length = self._range(size, size, self._block)
        return self._pair(kind, offset, length, self._at(size - length + 1, self._block))

    def _copy(self, kind: Kind, size: int) -> Operation | None:
        if size < self._align:
            return None
        offset, length = self._range(size, size, self._align)
        return self._pair(kind, offset, length, self._at(self._max_size - length + 1, self._align))

    def _pair(self, kind: Kind, offset: int, length: int, to: int) -> Operation | None:
        if abs(offset - to) < length:
            return None
        if not (offset | length | to) % self._block:
            self._copied = (offset, length, to)
        return Operation(kind, offset, length, to)

    def _seed(self) -> int:
        return int(self._random() * (1 << 31))

    def _at(self, end: int, unit: int) -> int:
        """Return a multiple of `unit` below `end`, which is at least 1."""
        return int(self._random() * (1 + (end - 1) // unit)) * unit

    def _range(self, end: int, size: int, unit: int) -> tuple[int, int]:
        """Return offset and length of a range below `end`, multiples of `unit`; at least one fits.

        Short ranges are more likely than long ones. A quarter begins at a block, an eighth at the end of the
        file, and a quarter ends at a block or at `end`.
        """
        random = self._random
        units = end // unit
        most = min(units, self._max_length // unit)
        length = (1 + int(random() ** 3 * most)) * unit
        offset = int(random() * (units - length // unit + 1)) * unit
        edge = random()
        if edge < 0.25:
            offset -= offset % self._block
        elif edge < 0.375 and size % unit == 0 and size + length <= end:
            offset = size
        elif edge > 0.75:
            stop = offset + length
            longer = min(stop + -stop % self._block, units * unit) - offset
            if longer <= self._max_length:
                length = longer
        return offset, length
