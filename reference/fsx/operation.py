# SPDX-License-Identifier: GPL-2.0-or-later
"""Operations on a file as plain numbers: what there is, how it is written down, and the data written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Answer", "Kind", "Operation", "listing", "pattern"]

Answer = bytes | int
"""What an operation answers: a read the bytes it found, the others 0; a refusal its errno."""


class Kind(StrEnum):
    """What may be done to a file."""

    READ = "read"
    DIRECT_READ = "direct_read"
    """Past the page cache; offset and length are whole blocks."""
    MAP_READ = "map_read"
    """Through a mapping, within the size: EFAULT otherwise (a task that tried would get SIGBUS)."""
    WRITE = "write"
    DIRECT_WRITE = "direct_write"
    """Past the page cache; offset and length are whole blocks."""
    MAP_WRITE = "map_write"
    """Through a mapping, within the size: EFAULT otherwise."""
    TRUNCATE = "truncate"
    """Cut or extend to `offset` bytes."""
    ALLOCATE = "allocate"
    """fallocate(2) with no mode: the size grows over the range."""
    RESERVE = "reserve"
    """FALLOC_FL_KEEP_SIZE."""
    PUNCH_HOLE = "punch_hole"
    """FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE."""
    ZERO_RANGE = "zero_range"
    """FALLOC_FL_ZERO_RANGE: the size grows over the range."""
    ZERO_WITHIN = "zero_within"
    """FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE."""
    COLLAPSE_RANGE = "collapse_range"
    """Take whole blocks out, not the last ones (EINVAL)."""
    INSERT_RANGE = "insert_range"
    """Put a hole of whole blocks in, not at the end (EINVAL)."""
    CLONE = "clone"
    """FICLONERANGE from `offset` to `to`: whole blocks, but for the end of a file that becomes its end."""
    DEDUPE = "dedupe"
    """FIDEDUPERANGE of `offset` and `to`: EBADE if they differ. The kernel looks at whole blocks only."""
    COPY = "copy"
    """copy_file_range(2) from `offset` to `to`; less where the file ends."""
    FSYNC = "fsync"
    INVALIDATE = "invalidate"
    """Drop the clean pages."""
    REMOUNT = "remount"
    """Write everything back and forget it: unmount and mount, or a model's nearest."""


class Operation(NamedTuple):
    """One operation; numbers that a kind has no use for are 0."""

    kind: Kind
    offset: int = 0
    """Where it begins, bytes; of TRUNCATE the new size."""
    length: int = 0
    """Bytes."""
    to: int = 0
    """Where CLONE, DEDUPE and COPY go, bytes."""
    seed: int = 0
    """What is written: `pattern(seed, length)`."""

    def __str__(self) -> str:
        """Write it down: the range with its first and last byte, and what follows from the kind.

        >>> print(Operation(Kind.WRITE, 4096, 10, seed=7))
        write 4096..4105 (10 bytes, seed 7)
        >>> print(Operation(Kind.CLONE, 0, 4096, 8192), Operation(Kind.TRUNCATE, 5), sep=", ")
        clone 0..4095 (4096 bytes) to 8192, truncate to 5
        """
        kind, offset, length, to, seed = self
        if kind is Kind.TRUNCATE:
            return f"{kind} to {offset}"
        if kind in _WHOLE_FILE:
            return str(kind)
        size = f"{length} bytes" + (f", seed {seed}" if kind in _WRITES else "")
        target = f" to {to}" if kind in _TWO_RANGES else ""
        return f"{kind} {offset}..{offset + length - 1} ({size}){target}"


_WHOLE_FILE = {Kind.FSYNC, Kind.INVALIDATE, Kind.REMOUNT}
_WRITES = {Kind.WRITE, Kind.DIRECT_WRITE, Kind.MAP_WRITE}
_TWO_RANGES = {Kind.CLONE, Kind.DEDUPE, Kind.COPY}


def listing(operations: Iterable[Operation]) -> list[str]:
    """Return the operations as numbered lines."""
    return [f"{number:>3}. {operation}" for number, operation in enumerate(operations, 1)]


# Made once: seeding a generator for each write would cost more than the write.
_POOL_BYTES = 1 << 20
_POOL = hashlib.shake_128(b"iodiff").digest(_POOL_BYTES) * 2
_STRIDE = 0x9E3779B1


def pattern(seed: int, length: int) -> bytes:
    """Return `length` incompressible bytes that follow from `seed`; two seeds share some once in 2^20 pairs.

    What is longer than 1 MiB repeats.
    """
    start = seed * _STRIDE % _POOL_BYTES
    if length <= _POOL_BYTES:
        return _POOL[start : start + length]
    whole = _POOL[start : start + _POOL_BYTES]
    return (whole * -(-length // _POOL_BYTES))[:length]
