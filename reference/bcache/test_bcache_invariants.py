# SPDX-License-Identifier: GPL-2.0-or-later
"""Each invariant of a set is broken once, and says so by its number."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reference.bcache.bkey import key
from reference.bcache.invariants import InvariantError, validate
from reference.bcache.node import Node
from reference.bcache.requests import Requests
from reference.bcache.setup import new_cache_set
from reference.bcache.structs import GcMark, Reserve
from reference.bcache.testing import SMALL

Breaker = Callable[[Requests], None]
BREAKERS: list[tuple[int, Breaker]] = []


def breaks(number: int) -> Callable[[Breaker], Breaker]:
    def add(breaker: Breaker) -> Breaker:
        BREAKERS.append((number, breaker))
        return breaker

    return add


def sound() -> Requests:
    """Return a set with a root, two leaves, and dirty and clean extents."""
    requests = Requests(*new_cache_set(SMALL))
    for n in range(150):
        requests.write(0, 16 * n, 8, writeback=n % 2 == 0)
    return requests


def leaves(requests: Requests) -> list[Node]:
    found = [node for node in requests.c.nodes.values() if not node.level]
    return sorted(found, key=lambda node: node.key.position)


def root(requests: Requests) -> Node:
    assert requests.c.root
    return requests.c.root


@breaks(1)
def keys_swapped(requests: Requests) -> None:
    keys = leaves(requests)[0].keys.sets[0].data
    keys[0], keys[1] = keys[1], keys[0]


@breaks(2)
def overlap_in_two_sets(requests: Requests) -> None:
    leaf = leaves(requests)[0]
    leaf.keys.sets[-1].insert(0, leaf.keys.sets[0].data[0].copy())


@breaks(3)
def length_of_a_set(requests: Requests) -> None:
    leaves(requests)[0].keys.sets[0].u64s += 1


@breaks(3)
def set_inside_another(requests: Requests) -> None:
    leaf = leaves(requests)[0]
    leaf.keys.sets[-1].block = 0


@breaks(4)
def key_after_its_node(requests: Requests) -> None:
    first, second = leaves(requests)
    moved = second.keys.sets[0].data[-1]
    first.keys.sets[-1].insert(len(first.keys.sets[-1].data), moved)


@breaks(4)
def extent_before_its_node(requests: Requests) -> None:
    first, second = leaves(requests)
    second.keys.sets[0].insert(0, first.keys.sets[0].data[0])


@breaks(5)
def last_child_gone(requests: Requests) -> None:
    b = root(requests)
    for bset in b.keys.sets:
        bset.replace([k for k in bset.data if k.position != b.key.position])


@breaks(5)
def child_twice(requests: Requests) -> None:
    b = root(requests)
    child = next(k for bset in b.keys.sets for k in bset.data if b.key.position == k.position)
    b.keys.sets[-1].insert(len(b.keys.sets[-1].data), child.copy())


@breaks(6)
def node_that_nothing_points_to(requests: Requests) -> None:
    lost = Node(requests.c, key(0, 8, 8, [requests.c.ptr_into(600)]), 0, None)
    requests.c.nodes[lost.key.ptr[0]] = lost


@breaks(6)
def root_ends_early(requests: Requests) -> None:
    root(requests).key.low -= 1


@breaks(7)
def pointer_of_the_future(requests: Requests) -> None:
    leaves(requests)[0].keys.sets[0].data[0].ptr[0] += 1


@breaks(7)
def pointer_of_long_ago(requests: Requests) -> None:
    k = leaves(requests)[0].keys.sets[0].data[0]
    requests.c.cache.bucket_of(k.ptr[0]).gen += 97


@breaks(8)
def two_in_the_same_sectors(requests: Requests) -> None:
    first, second = leaves(requests)[0].keys.sets[0].data[:2]
    second.ptr = first.ptr


@breaks(8)
def data_in_a_node(requests: Requests) -> None:
    k = leaves(requests)[0].keys.sets[0].data[1]
    k.ptr = [requests.c.ptr_into(requests.c.geometry.bucket_of(root(requests).key.ptr[0]))]


@breaks(9)
def dirty_bucket_marked_clean(requests: Requests) -> None:
    [k, *_] = requests.dirty()
    requests.c.cache.bucket_of(k.ptr[0]).gc_mark = GcMark.RECLAIMABLE


@breaks(9)
def journal_marked_as_nothing(requests: Requests) -> None:
    requests.c.cache.buckets[requests.c.cache.journal[0]].gc_mark = GcMark.NONE


@breaks(10)
def bucket_waits_twice(requests: Requests) -> None:
    free = requests.c.cache.free
    free[Reserve.NONE].appendleft(free[Reserve.BTREE][0])


@breaks(10)
def used_bucket_waits(requests: Requests) -> None:
    requests.c.cache.free[Reserve.BTREE].append(requests.c.geometry.bucket_of(root(requests).key.ptr[0]))


@breaks(11)
def gen_was_not_written(requests: Requests) -> None:
    requests.c.cache.disk_gens[requests.c.cache.free[Reserve.BTREE][0]] -= 1


@breaks(12)
def dirty_count(requests: Requests) -> None:
    requests.c.sectors_dirty[0] += 1


def test_the_fixture_is_sound() -> None:
    requests = sound()
    validate(requests.c)
    assert len(leaves(requests)) == 2


@pytest.mark.parametrize(("number", "breaker"), BREAKERS, ids=[b.__name__ for _, b in BREAKERS])
def test_it_fires(number: int, breaker: Breaker) -> None:
    requests = sound()
    breaker(requests)
    with pytest.raises(InvariantError) as caught:
        validate(requests.c)
    assert caught.value.number == number, caught.value


def test_each_has_a_breaker() -> None:
    assert {number for number, _ in BREAKERS} == set(range(1, 13))
