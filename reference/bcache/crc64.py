# SPDX-License-Identifier: GPL-2.0-or-later
"""The checksum of everything that bcache writes about itself."""

from __future__ import annotations

import struct

__all__ = ["bch_crc64", "crc64_be"]

CRC64_ECMA182_POLY = 0x42F0E1EBA9EA3693
"""lib/crc/gen_crc64table.c."""
U64_MAX = (1 << 64) - 1


def _after_a_word(word: int) -> int:
    """Return the remainder of one 8-byte word, bit by bit."""
    for _ in range(64):
        word = (word << 1) ^ (CRC64_ECMA182_POLY if word >> 63 else 0)
        word &= U64_MAX
    return word


def _table(shift: int) -> list[int]:
    """Return what each value of the 16 bits at `shift` of a word adds to the checksum: it is linear."""
    table = [0]
    for bit in range(16):
        added = _after_a_word(1 << (shift + bit))
        table += [added ^ entry for entry in table]
    return table


_TABLES = tuple(_table(shift) for shift in (48, 32, 16, 0))


def crc64_be(crc: int, data: bytes) -> int:
    """Return the ECMA-182 checksum of `data`, most significant bit first, going on from `crc`.

    `u64 crc64_be(u64 crc, const void *p, size_t len)`, lib/crc/crc64-main.c. Every length that bcache
    checksums is a multiple of 8 bytes; ValueError for another.

    >>> hex(crc64_be(0, b"12345678"))
    '0x3732f4b6474a5a2b'
    """
    first, second, third, fourth = _TABLES
    if len(data) % 8:
        raise ValueError(f"{len(data)} bytes are no whole words")
    for word in struct.unpack(f">{len(data) // 8}Q", data):
        mixed = word ^ crc
        crc = (
            first[mixed >> 48]
            ^ second[mixed >> 32 & 0xFFFF]
            ^ third[mixed >> 16 & 0xFFFF]
            ^ fourth[mixed & 0xFFFF]
        )
    return crc


def bch_crc64(data: bytes, seed: int = U64_MAX) -> int:
    """Return the checksum as bcache stores it (util.h).

    Of a btree node the `seed` is the node's first pointer, so that a node that is read from the wrong place
    does not fit (`btree_csum_set`, btree.c).
    """
    return crc64_be(seed, data) ^ U64_MAX
