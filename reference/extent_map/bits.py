# SPDX-License-Identifier: GPL-2.0-or-later
"""The bits of an extent state, and what an allocation may do (fs/extent_map.c, Linux 2.6.22)."""

from __future__ import annotations

__all__ = [
    "ALL_BITS",
    "EXTENT_DIRTY",
    "EXTENT_IOBITS",
    "EXTENT_LOCKED",
    "EXTENT_NEW",
    "EXTENT_UPTODATE",
    "EXTENT_WRITEBACK",
    "GFP_ATOMIC",
    "GFP_NOFS",
    "GFP_WAIT",
    "BadBitsError",
    "BadRangeError",
    "check_bits",
    "check_range",
    "describe",
]

from reference.index import U64_MAX

EXTENT_DIRTY = 1
EXTENT_WRITEBACK = 1 << 1
EXTENT_UPTODATE = 1 << 2
EXTENT_LOCKED = 1 << 3
EXTENT_NEW = 1 << 4

EXTENT_IOBITS = EXTENT_LOCKED | EXTENT_WRITEBACK
"""States with one of these are never merged: a completion finds the very state that its I/O has."""
ALL_BITS = EXTENT_DIRTY | EXTENT_WRITEBACK | EXTENT_UPTODATE | EXTENT_LOCKED | EXTENT_NEW

GFP_WAIT = 0x10
"""`__GFP_WAIT`: the allocation may sleep. Both versions read nothing else of a mask."""
GFP_ATOMIC = 0x20
"""For interrupts and under spinlocks (`__GFP_HIGH`)."""
GFP_NOFS = GFP_WAIT | 0x40
"""For tasks (`__GFP_WAIT | __GFP_IO`)."""

_NAMES = {
    EXTENT_DIRTY: "DIRTY",
    EXTENT_WRITEBACK: "WRITEBACK",
    EXTENT_UPTODATE: "UPTODATE",
    EXTENT_LOCKED: "LOCKED",
    EXTENT_NEW: "NEW",
}


class BadRangeError(ValueError):
    """A byte range that no caller in the kernel could mean; nothing was changed."""


class BadBitsError(ValueError):
    """Bits that no extent state can have, or none where some are needed; nothing was changed."""


def describe(bits: int) -> str:
    """Return `bits` by name, lowest first; what has no name is one hexadecimal number at the end.

    >>> describe(EXTENT_LOCKED | EXTENT_DIRTY), describe(0), describe(0x41)
    ('DIRTY|LOCKED', '0', 'DIRTY|0x40')
    """
    words = [name for bit, name in _NAMES.items() if bits & bit]
    rest = bits & ~ALL_BITS
    if rest or not words:
        words.append(f"{rest:#x}" if rest else "0")
    return "|".join(words)


def check_range(start: int, end: int) -> None:
    """Raise BadRangeError unless 0 <= `start` <= `end` <= U64_MAX (bytes, `end` inclusive)."""
    if start > end:
        raise BadRangeError(f"range [{start}, {end}] starts behind its end: ends are inclusive")
    if start < 0 or end > U64_MAX:
        raise BadRangeError(
            f"range [{start}, {end}] does not fit into 64 bits: offsets go from 0 to {U64_MAX}"
        )


def check_bits(bits: int) -> None:
    """Raise BadBitsError unless `bits` has at least one of the five bits of a state, and no other."""
    if bits & ~ALL_BITS:
        raise BadBitsError(f"bits {describe(bits)} are not all EXTENT_ bits: those are {describe(ALL_BITS)}")
    if not bits:
        raise BadBitsError(f"no bits are given: take some of {describe(ALL_BITS)}")
