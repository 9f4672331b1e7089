# SPDX-License-Identifier: GPL-2.0-or-later
"""Checksums, keys and structures as bytes; and the map of extents against a dict."""

from __future__ import annotations

import doctest
import importlib
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.bcache.bkey import (
    ZERO_POSITION,
    Bkey,
    bch_cut_back,
    bch_cut_front,
    key,
    make_ptr,
    max_key,
    ptr_dev,
    ptr_gen,
    ptr_offset,
)
from reference.bcache.crc64 import CRC64_ECMA182_POLY, U64_MAX, bch_crc64, crc64_be
from reference.bcache.geometry import Geometry, gen_after
from reference.bcache.live_map import LiveMap
from reference.bcache.ondisk import BrokenKeyError, Jset, PrioSet, UuidEntry, keys_of, pack_bset

EXAMPLES = ("bkey", "bset", "check_threads", "crc64", "geometry", "heap", "live_map")
u64 = st.integers(0, U64_MAX)


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"reference.bcache.{module}"))
    assert result.attempted
    assert not result.failed


def bit_by_bit(crc: int, data: bytes) -> int:
    for byte in data:
        crc ^= byte << 56
        for _ in range(8):
            crc = (crc << 1 ^ (CRC64_ECMA182_POLY if crc >> 63 else 0)) & U64_MAX
    return crc


@given(u64, st.lists(u64, max_size=9))
def test_checksum(crc: int, words: list[int]) -> None:
    data = struct.pack(f"<{len(words)}Q", *words)
    assert crc64_be(crc, data) == bit_by_bit(crc, data)


def test_checksum_of_no_whole_words() -> None:
    with pytest.raises(ValueError, match="9 bytes are no whole words"):
        crc64_be(0, bytes(9))


@given(st.integers(0, 255), st.integers(0, (1 << 43) - 1), st.integers(0, 4095))
def test_pointers(gen: int, offset: int, dev: int) -> None:
    ptr = make_ptr(gen, offset, dev)
    assert (ptr_gen(ptr), ptr_offset(ptr), ptr_dev(ptr)) == (gen, offset, dev)
    assert 0 <= ptr < 1 << 63


@given(
    st.integers(0, (1 << 20) - 1),
    u64,
    st.integers(0, 0xFFFF),
    st.lists(u64, max_size=6),
    st.booleans(),
)
def test_keys(inode: int, offset: int, size: int, ptr: list[int], dirty: bool) -> None:
    k = key(inode, offset, size, ptr, dirty)
    assert (k.inode, k.offset, k.size, k.ptr, k.dirty) == (inode, offset, size, ptr, dirty)
    assert (k.ptrs, k.csum, k.u64s) == (len(ptr), 0, 2 + len(ptr))
    assert list(keys_of(tuple(k.words() * 2))) == [k, k]
    k.dirty = not dirty
    k.size = 0xFFFF - size
    k.position = (7, 9)
    assert (k.dirty, k.size, k.position, k.ptrs) == (not dirty, 0xFFFF - size, (7, 9), len(ptr))


@given(st.lists(u64, max_size=30))
def test_keys_of_garbage_end(words: list[int]) -> None:
    try:
        found = list(keys_of(tuple(words)))
    except BrokenKeyError as error:
        assert error.index < len(words)  # noqa: PT017  # either outcome is right
    else:
        assert sum(k.u64s for k in found) == len(words)


def test_cutting_at_the_ends_does_nothing() -> None:
    k = key(1, 100, 10, [make_ptr(0, 50, 0)])
    before = k.copy()
    assert not bch_cut_front((1, 90), k)
    assert not bch_cut_back((1, 100), k)
    assert k == before


def test_cutting_all_of_a_key() -> None:
    k = key(1, 100, 10, [make_ptr(0, 50, 0)])
    assert bch_cut_front((1, 120), k)
    assert str(k) == "1:120 len 0 -> [0:60 gen 0]"
    k = key(1, 100, 10)
    assert bch_cut_back((1, 80), k)
    assert str(k) == "1:80 len 0 -> []"


def test_the_ends_of_all_keys() -> None:
    assert max_key().position == ((1 << 20) - 1, (1 << 63) - 1)
    assert ZERO_POSITION < key(0, 1, 1).position < max_key().position


@given(st.integers(0, 255), st.integers(0, 255))
def test_of_two_gens_one_is_after_the_other(a: int, b: int) -> None:
    assert gen_after(a, a) == 0
    if a != b:
        assert bool(gen_after(a, b)) != bool(gen_after(b, a)) or (a - b) % 256 == 128


def test_structures_come_back() -> None:
    k = key(0, 8, 8, [make_ptr(1, 800, 0)])
    jset = Jset(5, 7, 6, k, k, 1, (3, *[0] * 7), tuple(k.words()))
    data = jset.pack()
    read = Jset.from_bytes(bytes(8) + data, 8)
    assert read.csum == read.computed_csum != 0
    assert (read.seq, read.last_seq, read.btree_root, read.words) == (7, 6, k, jset.words)
    assert Jset.length(data) == (5, 7, len(data))

    prios = PrioSet(5, 7, 9, (1, 0xFFFF), bytes([3, 255]))
    again = PrioSet.from_bytes(prios.pack(4096))
    assert again.csum == again.computed_csum
    assert (again.next_bucket, again.prios[:2], again.gens[:2]) == (9, (1, 0xFFFF), bytes([3, 255]))
    assert len(again.gens) == (4096 - 40) // 3

    entry = UuidEntry(bytes(range(16)), b"label".ljust(32, b"\0"), 1, 2, 3, 1, 5)
    assert UuidEntry.from_bytes(entry.pack()) == entry
    assert entry.flash_only
    assert len(entry.pack()) == 128


def test_a_nodes_checksum_knows_where_it_is() -> None:
    here, there = (pack_bset([], 1, 2, ptr) for ptr in (1, 2))
    assert here[8:] == there[8:]
    assert here[:8] != there[:8]
    old = pack_bset([], 1, 2, 1, version=0)
    assert struct.unpack_from("<Q", old)[0] == bch_crc64(old[8:])


@pytest.mark.parametrize(
    ("bucket_kib", "node_kib", "prios"),
    [(4, 4, 1352), (64, 64, 21_832), (256, 256, 87_368), (512, 256, 174_749), (4096, 1024, 1_398_088)],
)
def test_sizes(bucket_kib: int, node_kib: int, prios: int) -> None:
    geometry = Geometry(bucket_kib * 2, 1, 1000, 2)
    assert (geometry.btree_pages * 4, geometry.prios_per_bucket) == (node_kib, prios)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 80), st.integers(1, 30)), max_size=40))
def test_the_map_is_a_dict(drawn: list[tuple[int, int, int]]) -> None:
    live, naive = LiveMap(), dict[tuple[int, int], int]()
    for number, (inode, start, size) in enumerate(drawn):
        live.insert(key(inode, start + size, size, [make_ptr(0, number * 1000, 0)]))
        naive |= {(inode, start + n): number * 1000 + n for n in range(size)}
    found = list(live)
    assert {(k.inode, k.start + n): ptr_offset(k.ptr[0]) + n for k in found for n in range(k.size)} == naive
    assert len(live) == len(found)
    assert all(a.position <= b.start_position for a, b in pairwise(found))
    for inode in (0, 1):
        met = live.overlapping((inode, 10), (inode, 20))
        assert met == [k for k in found if k.inode == inode and k.start < 20 and k.offset > 10]


def test_a_key_is_what_it_holds() -> None:
    assert Bkey(1, 2, [3]) == Bkey(1, 2, [3]) != Bkey(1, 2)
    assert Bkey(1, 2) != (1, 2)
