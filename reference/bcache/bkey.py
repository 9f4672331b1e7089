# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys of the btree: their bit fields, order, and how they are cut. All units are sectors of 512 bytes."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "KEY_MAX_U64S",
    "MAX_KEY_INODE",
    "MAX_KEY_OFFSET",
    "PTR_CHECK_DEV",
    "USHRT_MAX",
    "ZERO_POSITION",
    "Bkey",
    "Position",
    "bch_cut_back",
    "bch_cut_front",
    "key",
    "make_ptr",
    "max_key",
    "ptr_dev",
    "ptr_gen",
    "ptr_offset",
]

KEY_MAX_U64S = 8
"""Longest key, 8-byte words: two of key and six pointers."""
MAX_KEY_INODE = (1 << 20) - 1
MAX_KEY_OFFSET = (1 << 63) - 1
PTR_CHECK_DEV = (1 << 12) - 1
"""The device of a check key: its pointer is a random number."""
USHRT_MAX = 0xFFFF
"""Most sectors of a key (KEY_SIZE_BITS)."""

HIGH_BIT = 1 << 63
"""Set by KEY(), a relic; keys that were filled by hand lack it."""

Position = tuple[int, int]
"""(KEY_INODE, KEY_OFFSET): where a key ends, and all that `bkey_cmp` compares."""

ZERO_POSITION: Position = (0, 0)
"""Of ZERO_KEY: of a key in an inner node, that it frees the node it points to."""


class Bkey:
    """`struct bkey`: where a run of sectors of a backing device ends, and where in the cache it lies.

    The three fields are the words of the C struct; everything else are bits of them.

    >>> k = key(3, 100, 8, [make_ptr(7, 4096, 0)], dirty=True)
    >>> k
    3:92 len 8 -> [0:4096 gen 7] dirty
    >>> k.start, k.offset, k.u64s
    (92, 100, 3)
    """

    __slots__ = ("high", "low", "ptr")

    def __init__(self, high: int, low: int, ptr: Iterable[int] = ()) -> None:
        self.high = high
        self.low = low
        self.ptr = list(ptr)

    @property
    def ptrs(self) -> int:
        """KEY_PTRS: how many pointers; the words in `ptr`, for keys that were read in full."""
        return self.high >> 60 & 7

    @property
    def csum(self) -> int:
        """KEY_CSUM: whether the key once had a checksum of the data."""
        return self.high >> 56 & 3

    @property
    def dirty(self) -> bool:
        """KEY_DIRTY: the backing device has not got these data yet."""
        return bool(self.high >> 36 & 1)

    @dirty.setter
    def dirty(self, dirty: bool) -> None:
        self.high = self.high & ~(1 << 36) | dirty << 36

    @property
    def size(self) -> int:
        """KEY_SIZE, sectors."""
        return self.high >> 20 & USHRT_MAX

    @size.setter
    def size(self, sectors: int) -> None:
        self.high = self.high & ~(USHRT_MAX << 20) | sectors << 20

    @property
    def inode(self) -> int:
        """KEY_INODE: which backing device, an index of the uuid table."""
        return self.high & MAX_KEY_INODE

    @property
    def offset(self) -> int:
        """KEY_OFFSET: the sector after the last one."""
        return self.low

    @property
    def start(self) -> int:
        """KEY_START: the first sector."""
        return self.low - (self.high >> 20 & USHRT_MAX)

    @property
    def position(self) -> Position:
        """What `bkey_cmp` compares."""
        return self.high & MAX_KEY_INODE, self.low

    @position.setter
    def position(self, position: Position) -> None:
        """`bkey_copy_key`: take the place, keep the rest."""
        self.high = self.high & ~MAX_KEY_INODE | position[0]
        self.low = position[1]

    @property
    def start_position(self) -> Position:
        """The position of START_KEY."""
        return self.high & MAX_KEY_INODE, self.low - (self.high >> 20 & USHRT_MAX)

    @property
    def u64s(self) -> int:
        """`bkey_u64s`: its length, 8-byte words."""
        return 2 + (self.high >> 60 & 7)

    @property
    def header(self) -> tuple[bool, int, int]:
        """What `bch_bkey_equal_header` compares (bset.h)."""
        return self.dirty, self.ptrs, self.csum

    def copy(self) -> Bkey:
        """`bkey_copy`."""
        return Bkey(self.high, self.low, self.ptr)

    def words(self) -> list[int]:
        """Return the key as it is stored."""
        return [self.high, self.low, *self.ptr]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bkey) and self.words() == other.words()

    __hash__ = None  # type: ignore[assignment]  # keys are cut in place

    def __repr__(self) -> str:
        """As `bch_extent_to_text` writes it (extents.c)."""
        places = [
            "check dev" if ptr_dev(p) == PTR_CHECK_DEV else f"{ptr_dev(p)}:{ptr_offset(p)} gen {ptr_gen(p)}"
            for p in self.ptr
        ]
        dirty = " dirty" if self.dirty else ""
        return f"{self.inode}:{self.start} len {self.size} -> [{', '.join(places)}]{dirty}"


def key(inode: int, offset: int, size: int, ptr: Iterable[int] = (), dirty: bool = False) -> Bkey:
    """Return a key of `size` sectors that ends at sector `offset` of backing device `inode`: KEY()."""
    ptr = list(ptr)
    return Bkey(HIGH_BIT | len(ptr) << 60 | dirty << 36 | size << 20 | inode, offset, ptr)


def max_key() -> Bkey:
    """Return MAX_KEY, the key of the root."""
    return key(MAX_KEY_INODE, MAX_KEY_OFFSET, 0)


def make_ptr(gen: int, offset: int, dev: int) -> int:
    """MAKE_PTR: a pointer to a sector of a cache device, valid while the bucket there has `gen`."""
    return dev << 51 | offset << 8 | gen


def ptr_dev(ptr: int) -> int:
    """PTR_DEV: which device of the set; PTR_CHECK_DEV: none, a check key."""
    return ptr >> 51 & PTR_CHECK_DEV


def ptr_offset(ptr: int) -> int:
    """PTR_OFFSET: the sector on the cache device."""
    return ptr >> 8 & (1 << 43) - 1


def ptr_gen(ptr: int) -> int:
    """PTR_GEN: of the bucket, when the pointer was made."""
    return ptr & 0xFF


def _move_ptr(ptr: int, sectors: int) -> int:
    """SET_PTR_OFFSET(PTR_OFFSET + sectors): within its 43 bits."""
    moved = ptr_offset(ptr) + sectors & (1 << 43) - 1
    return ptr & ~((1 << 43) - 1 << 8) | moved << 8


def bch_cut_front(where: Position, k: Bkey) -> bool:
    """Cut off what `k` has before `where`; a key that ends there becomes one of no sectors, at `where`.

    `__bch_cut_front`, bset.c. Returns whether there was something to cut.

    >>> k = key(0, 100, 10, [make_ptr(0, 50, 0)])
    >>> bch_cut_front((0, 94), k), k
    (True, 0:94 len 6 -> [0:54 gen 0])
    """
    if where <= k.start_position:
        return False
    length = 0
    if where < k.position:
        length = k.offset - where[1]
    else:
        k.position = where
    k.ptr = [_move_ptr(ptr, k.size - length) for ptr in k.ptr]
    k.size = length
    return True


def bch_cut_back(where: Position, k: Bkey) -> bool:
    """Cut off what `k` has from `where` on; one that starts there becomes one of no sectors, at `where`.

    `__bch_cut_back`, bset.c. Returns whether there was something to cut.
    """
    if where >= k.position:
        return False
    length = where[1] - k.start if where > k.start_position else 0
    k.position = where
    k.size = length
    return True
