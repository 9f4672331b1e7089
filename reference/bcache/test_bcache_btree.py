# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the btree one by one, with numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.bcache.behaviour import Behaviour
from reference.bcache.bkey import PTR_CHECK_DEV, USHRT_MAX, Bkey, key, make_ptr, ptr_dev
from reference.bcache.bset import BtreeKeys, InsertStatus
from reference.bcache.btree import BtreeOp, Outcome, bch_btree_insert, btree_check_reserve, leaf_for
from reference.bcache.extents import ExtentOps
from reference.bcache.gc import btree_gc_min_nodes, btree_gc_sleep_ms, gc_should_run
from reference.bcache.geometry import Geometry
from reference.bcache.invariants import validate
from reference.bcache.keybuf import KEYBUF_NR, Keybuf
from reference.bcache.live_map import LiveMap
from reference.bcache.node import Node
from reference.bcache.requests import Requests
from reference.bcache.setup import new_cache_set
from reference.bcache.structs import CacheSet, GcMark, Reserve
from reference.bcache.testing import SMALL

END = ((1 << 20) - 1, (1 << 63) - 1)


def fresh(geometry: Geometry = SMALL, behaviour: Behaviour | None = None) -> Requests:
    return Requests(*new_cache_set(geometry, behaviour))


def leaf_keys(c: CacheSet) -> BtreeKeys:
    """Return the keys of a leaf to insert into, as after its first write."""
    keys = BtreeKeys(c.geometry, ExtentOps(c), c.geometry.btree_pages)
    keys.init_next(0)
    return keys


def at(c: CacheSet, offset: int, size: int, bucket: int = 100, sector: int = 0) -> Bkey:
    return key(0, offset, size, [c.ptr_into(bucket, sector)])


def all_of(keys: BtreeKeys) -> list[str]:
    return [str(k) for k in sorted((k for _, _, k in keys.iterate() if k.size), key=lambda k: k.position)]


# Inserting


def test_a_plain_insert_says_front_merge() -> None:
    c = fresh().c
    assert leaf_keys(c).insert_key(at(c, 8, 8)) is InsertStatus.FRONT_MERGE


def test_neighbours_in_the_cache_become_one_key() -> None:
    c = fresh().c
    keys = leaf_keys(c)
    keys.insert_key(at(c, 4, 4))
    assert keys.insert_key(at(c, 8, 4, sector=4)) is InsertStatus.BACK_MERGE
    assert all_of(keys) == ["0:0 len 8 -> [0:800 gen 0]"]
    assert keys.last.u64s == 3


def test_neighbours_in_different_buckets_stay_apart() -> None:
    c = fresh().c
    keys = leaf_keys(c)
    keys.insert_key(at(c, 8, 8))
    keys.insert_key(at(c, 16, 8, bucket=101))
    assert len(all_of(keys)) == 2


def test_keys_without_pointers_grow_to_what_fits() -> None:
    c = fresh().c
    keys = leaf_keys(c)
    keys.insert_key(key(0, 65_000, 65_000))
    keys.insert_key(key(0, 66_000, 1000))
    assert all_of(keys) == [f"0:0 len {USHRT_MAX} -> []", "0:65535 len 465 -> []"]


@pytest.mark.parametrize("written", [False, True])
def test_a_key_in_the_middle_of_another_makes_three(written: bool) -> None:
    c = fresh().c
    keys = leaf_keys(c)
    keys.insert_key(at(c, 8, 8))
    if written:
        keys.init_next(1)
    keys.insert_key(at(c, 5, 2, bucket=101))
    assert all_of(keys) == [
        "0:0 len 3 -> [0:800 gen 0]",
        "0:3 len 2 -> [0:808 gen 0]",
        "0:5 len 3 -> [0:805 gen 0]",
    ]
    # The top of a key that was written goes into the set that was not.
    assert [len(s.data) for s in keys.sets] == ([1, 2] if written else [3])


def test_a_key_that_was_written_and_overwritten_stays_as_one_of_no_sectors() -> None:
    c = fresh().c
    keys = leaf_keys(c)
    keys.insert_key(at(c, 8, 8))
    keys.init_next(1)
    keys.insert_key(at(c, 8, 8, bucket=101))
    assert [(k.offset, k.size) for k in keys.sets[0].data] == [(8, 0)]


extents = st.tuples(st.integers(0, 60), st.integers(1, 20), st.booleans())


@settings(max_examples=150, deadline=None)
@given(st.lists(extents, max_size=30))
def test_a_node_means_what_a_map_does(drawn: list[tuple[int, int, bool]]) -> None:
    c = fresh_set()
    keys, live = leaf_keys(c), LiveMap()
    for number, (start, size, next_set) in enumerate(drawn):
        if next_set and keys.last.data and keys.nsets < 3:
            keys.init_next(keys.last.block + 1)
        k = key(0, start + size, min(size, 8) if size % 3 else size)
        if size % 3:
            k = at(c, k.offset, k.size, 10 + number)
        live.insert(k.copy())
        keys.insert_key(k)
    assert expanded(keys_of(keys)) == expanded(list(live))


SETS: list[CacheSet] = []


def fresh_set() -> CacheSet:
    """Return a set that examples may share: they only insert into nodes of their own."""
    if not SETS:
        SETS.append(fresh().c)
    return SETS[0]


def keys_of(keys: BtreeKeys) -> list[Bkey]:
    return [k for _, _, k in keys.iterate()]


def expanded(keys: list[Bkey]) -> dict[int, int | None]:
    return {k.start + n: k.ptr[0] + (n << 8) if k.ptr else None for k in keys for n in range(k.size)}


# Replacing


def test_a_fill_is_refused_where_somebody_wrote() -> None:
    requests = fresh()
    asked = requests.miss(0, 0, 8)
    assert ptr_dev(asked.ptr[0]) == PTR_CHECK_DEV
    requests.write(0, 0, 8)
    before = [str(k) for k in requests.cached()]
    assert requests.fill(asked) is Outcome.COLLISION
    assert [str(k) for k in requests.cached()] == before


def test_a_fill_is_refused_where_somebody_else_asked_later() -> None:
    requests = fresh()
    first = requests.miss(0, 0, 8)
    requests.write(0, 0, 8)
    requests.discard(0, 0, 8)
    second = requests.miss(0, 0, 8)
    assert requests.fill(first) is Outcome.COLLISION
    assert requests.fill(second) is Outcome.DONE


def test_a_fill_is_cut_to_what_nobody_wrote() -> None:
    requests = fresh()
    asked = requests.miss(0, 0, 8)
    requests.write(0, 5, 3)
    assert requests.fill(asked) is Outcome.DONE
    assert [(k.start, k.size) for k in requests.cached()] == [(0, 5), (5, 3)]


def test_a_fill_ends_at_the_first_gap() -> None:
    requests = fresh()
    asked = requests.miss(0, 0, 8)
    requests.write(0, 3, 1)
    requests.discard(0, 3, 1)
    assert requests.fill(asked) is Outcome.DONE
    assert [(k.start, k.size) for k in requests.cached()] == [(0, 3)]


def test_fills_are_refused_after_their_node_was_replaced() -> None:
    requests = fresh()
    asked = requests.miss(0, 0, 8)
    leaf = requests.c.root
    for n in range(200):
        requests.write(0, 1000 + 16 * n, 8)
    assert requests.c.root is not leaf
    assert requests.fill(asked) is Outcome.COLLISION


def test_writeback_of_what_was_written_again_leaves_it_dirty() -> None:
    requests = fresh()
    requests.write(0, 0, 8, writeback=True)
    [old] = requests.dirty()
    requests.write(0, 0, 8, writeback=True)
    assert requests.written_back(old) is Outcome.COLLISION
    assert requests.c.sectors_dirty == {0: 8}
    [new] = requests.dirty()
    assert requests.written_back(new) is Outcome.DONE
    assert requests.c.sectors_dirty == {0: 0}


# Splitting


def test_a_full_leaf_is_divided_at_three_fifths() -> None:
    requests = fresh()
    seen: list[tuple[Node, bool]] = []
    op = BtreeOp(split=lambda node, split: seen.append((node, split)))
    c = requests.c
    n = 0
    while not seen:
        n += 1
        bch_btree_insert(c, [placed(requests, 16 * n)], op=op)
    assert seen[0][1]
    assert c.root
    assert c.root.level == 1
    first, second = (len(leaf_for(c, position).keys.sets[0].data) for position in ((0, 0), (0, 1 << 40)))
    # 146 keys of 3 words: 88 of them reach three fifths, 262 words, and the one after stays too.
    assert (n, first, second) == (146, 89, 57)
    validate(c)


def placed(requests: Requests, offset: int) -> Bkey:
    k = requests.data.alloc_sectors(0, offset, 8)
    if k is None:
        requests.settle()
        k = requests.data.alloc_sectors(0, offset, 8)
    assert k
    return k


def test_a_leaf_full_of_what_is_gone_is_only_compacted() -> None:
    requests = fresh()
    seen: list[bool] = []
    op = BtreeOp(split=lambda _node, split: seen.append(split))
    while not seen:
        bch_btree_insert(requests.c, [placed(requests, 16)], op=op)
        bch_btree_insert(requests.c, [key(0, 32, 32)], op=op)
    assert seen == [False]
    assert requests.c.root
    assert requests.c.root.level == 0


def test_a_key_over_the_end_of_a_leaf_goes_into_both() -> None:
    requests = fresh()
    for n in range(250):
        requests.write(0, 16 * n, 8)
    end = leaf_for(requests.c, (0, 0)).key.offset
    requests.write(0, end - 4, 8)
    assert [(k.start, k.size) for k in requests.cached() if end - 8 < k.offset <= end + 8] == [
        (end - 8, 4),
        (end - 4, 4),
        (end, 4),
    ]
    validate(requests.c)


def test_no_leaf_is_split_without_buckets_for_all_above_it() -> None:
    requests = fresh()
    assert requests.c.root
    assert btree_check_reserve(requests.c.root)
    requests.c.cache.free[Reserve.BTREE].clear()
    assert not btree_check_reserve(requests.c.root)


# Garbage collection


@pytest.mark.parametrize(
    ("behaviour", "last_nodes", "searches", "nodes"),
    [
        (Behaviour.linux_7_2, 0, 0, 10),
        (Behaviour.linux_7_2, 12_800, 0, 100),
        (Behaviour.linux_7_2, 12_800, 1, 10),
        (Behaviour.linux_6_12, 0, 0, 100),
        (Behaviour.linux_6_12, 50_000, 1, 500),
    ],
)
def test_after_how_many_nodes_it_pauses(
    behaviour: Behaviour, last_nodes: int, searches: int, nodes: int
) -> None:
    c = fresh(behaviour=behaviour).c
    c.gc_stats.nodes = last_nodes
    c.search_inflight = searches
    assert btree_gc_min_nodes(c) == nodes


@pytest.mark.parametrize(
    ("behaviour", "waiting", "sleep_ms"),
    [(Behaviour.linux_7_2, 0, 100), (Behaviour.linux_7_2, 1, 10), (Behaviour.linux_6_12, 1, 100)],
)
def test_how_long_it_pauses(behaviour: Behaviour, waiting: int, sleep_ms: int) -> None:
    c = fresh(behaviour=behaviour).c
    c.bucket_wait_cnt = waiting
    assert btree_gc_sleep_ms(c) == sleep_ms


def grown(behaviour: Behaviour, keys: int = 4000) -> Requests:
    """Return a set with a tree of many leaves, all dirty so that none of it is reused."""
    requests = fresh(replace(SMALL, nbuckets=2048), behaviour)
    for n in range(keys):
        requests.write(0, 4 * (n * 7919 % keys), 1, writeback=True)
    return requests


@pytest.mark.parametrize(
    ("behaviour", "searches", "pauses"),
    [(Behaviour.linux_7_2, 0, 3), (Behaviour.linux_7_2, 1, 3), (Behaviour.linux_6_12, 0, 0)],
)
def test_an_idle_collection_pauses_on_7_2_only(behaviour: Behaviour, searches: int, pauses: int) -> None:
    requests = grown(behaviour)
    requests.pauses.clear()
    requests.c.search_inflight = searches
    requests.collect()
    # One root and 35 leaves: each ten nodes are nine new leaves and the root, where it begins again.
    assert len(requests.c.nodes) == 36
    assert [pause.nodes for pause in requests.pauses] == [10, 20, 30][:pauses]
    assert {pause.sleep_ms for pause in requests.pauses} <= {100}
    validate(requests.c)


def test_nodes_that_became_empty_are_coalesced() -> None:
    requests = grown(Behaviour.linux_7_2)
    before = len(requests.c.nodes)
    for start in range(0, 16_000, 40):
        requests.discard(0, start, 36)
    requests.collect()
    requests.collect()
    assert len(requests.c.nodes) < before / 2
    validate(requests.c)
    assert [k.start for k in requests.cached()] == list(range(36, 16_000, 40))


def test_what_gc_finds_unused_can_be_reused() -> None:
    requests = fresh()
    requests.write(0, 0, 8)
    [k] = requests.cached()
    bucket = requests.c.geometry.bucket_of(k.ptr[0])

    def mark() -> GcMark:
        return requests.c.cache.buckets[bucket].gc_mark

    requests.discard(0, 0, 8)
    assert mark() is GcMark.RECLAIMABLE
    requests.collect()
    assert mark() is GcMark.NONE


def test_it_runs_when_a_sixteenth_was_written() -> None:
    requests = fresh()
    assert not gc_should_run(requests.c)
    requests.c.sectors_to_gc = -1
    assert gc_should_run(requests.c)
    requests.settle()
    assert requests.c.sectors_to_gc == 640 * 8 // 16


def test_a_bucket_that_is_almost_empty_is_moved() -> None:
    requests = fresh()
    for n in range(8):
        requests.write(0, n, 1)
    requests.write(0, 100, 8)
    requests.discard(0, 0, 6)
    requests.c.sectors_to_gc = -1
    requests.settle()
    before = {k.start: k.ptr[0] for k in requests.cached()}
    assert requests.move() == 1
    after = {k.start: k.ptr[0] for k in requests.cached()}
    assert before.keys() == after.keys() == {6, 100}
    assert before[6] != after[6]
    assert before[100] == after[100]
    validate(requests.c)


# Keybufs


def test_a_keybuf_takes_so_many_keys_and_goes_on_from_there() -> None:
    requests = grown(Behaviour.linux_7_2, 1300)
    keybuf = Keybuf()
    keybuf.last_scanned = (0, 0)
    taken = []
    while w := keybuf.next_rescan(requests.c, END, lambda k: k.dirty):
        assert len(keybuf.keys) <= KEYBUF_NR
        taken.append(str(w.key))
        keybuf.delete(w)
    # A scan goes on after what ends at its start: the very first sector is left for the next round.
    assert taken == [str(k) for k in requests.dirty()]


def test_what_is_written_is_forgotten_unless_it_is_worked_on() -> None:
    requests = fresh()
    for n in range(4):
        requests.write(0, 16 * n, 8, writeback=True)
    keybuf = Keybuf()
    keybuf.last_scanned = (0, 0)
    assert keybuf.refill(requests.c, END, lambda k: k.dirty) == 4
    first = keybuf.next()
    assert first
    assert not keybuf.check_overlapping((0, 30), (0, 34))
    assert [w.key.start for w in keybuf.keys] == [0, 16, 48]
    assert keybuf.check_overlapping((0, 4), (0, 20))
    assert [w.key.start for w in keybuf.keys] == [0, 48]
    assert not keybuf.check_overlapping((1, 0), (1, 100))


def test_a_device_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="512 buckets are too few: 513 are needed"):
        new_cache_set(replace(SMALL, nbuckets=512))


def test_pointers_are_words() -> None:
    assert key(1, 10, 4, [make_ptr(3, 80, 0)]).words() == [1 << 63 | 1 << 60 | 4 << 20 | 1, 10, 80 << 8 | 3]
