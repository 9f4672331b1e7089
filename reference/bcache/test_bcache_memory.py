# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of nodes, and the threads that check them at registration."""

from __future__ import annotations

import random

import pytest

from reference.bcache.check_threads import bch_btree_check
from reference.bcache.node_cache import CachedNode, Got, NodeCache

ORDER = 3


def cache(memory: int = 0) -> NodeCache:
    """Return the cache of an empty set, with 24 nodes in reserve."""
    return NodeCache(ORDER, memory=memory)


def got(nodes: NodeCache, key: int, task: str = "a", order: int = ORDER) -> CachedNode:
    """Get a node and unlock it."""
    node = nodes.alloc(task, key, order)
    assert isinstance(node, CachedNode)
    node.locked = False
    return node


def full() -> NodeCache:
    nodes = cache()
    for key in range(1, 25):
        got(nodes, key)
    assert not nodes.freeable
    return nodes


def test_the_reserve_is_there_from_the_start() -> None:
    nodes = cache()
    assert (nodes.reserve, nodes.used, nodes.can_free) == (24, 24, 0)
    nodes.root_level = 3
    assert nodes.reserve == 40


def test_what_is_cached_is_not_read_again() -> None:
    nodes = cache()
    node = got(nodes, 7)
    assert nodes.find(7) is node
    assert nodes.alloc("a", 7, ORDER) is Got.THERE


def test_memory_of_the_system_comes_before_that_of_others() -> None:
    nodes = full()
    nodes.memory = 1
    got(nodes, 100)
    assert (nodes.used, nodes.memory, nodes.alloc_lock) == (25, 0, None)
    assert nodes.find(1)


def test_the_oldest_clean_node_is_cannibalized() -> None:
    nodes = full()
    for key in (1, 2):
        node = nodes.find(key)
        assert node
        node.dirty = True
    got(nodes, 100)
    assert nodes.alloc_lock == "a"
    assert nodes.find(3) is None
    assert nodes.find(1)


def test_dirty_nodes_are_written_when_there_is_no_clean_one() -> None:
    nodes = full()
    for node in nodes.btree_cache:
        node.dirty = True
    taken = got(nodes, 100)
    assert not taken.dirty
    assert nodes.find(1) is None


def test_only_one_task_cannibalizes() -> None:
    nodes = full()
    got(nodes, 100, "a")
    assert nodes.alloc("b", 101, ORDER) is Got.WAIT
    nodes.unlock("b")
    assert nodes.alloc("b", 101, ORDER) is Got.WAIT
    nodes.unlock("a")
    assert isinstance(nodes.alloc("b", 101, ORDER), CachedNode)


def test_nothing_is_left_when_all_are_locked() -> None:
    nodes = full()
    for node in nodes.btree_cache:
        node.locked = True
    assert nodes.alloc("a", 100, ORDER) is Got.NONE


def test_a_node_with_too_little_memory_is_left_alone() -> None:
    nodes = full()
    nodes.memory = 1
    big = got(nodes, 100, order=ORDER + 1)
    assert big.order == ORDER + 1
    assert got(nodes, 101, order=ORDER + 1) is big


def test_memory_of_a_freed_node_is_used_next() -> None:
    nodes = full()
    node = nodes.find(5)
    assert node
    nodes.free(node)
    assert nodes.find(5) is None
    assert got(nodes, 100) is node
    assert nodes.alloc_lock is None


def test_the_shrinker_leaves_the_reserve() -> None:
    nodes = cache(memory=100)
    for key in range(1, 41):
        got(nodes, key)
    assert (nodes.used, nodes.can_free) == (40, 16)
    assert nodes.scan(10) == 10
    assert nodes.find(10) is None
    assert nodes.find(11)
    assert nodes.scan(1000) == 6
    assert nodes.used == nodes.reserve
    assert nodes.scan(1) == 0
    assert len(nodes.freed) == 16


def test_the_shrinker_waits_for_who_cannibalizes() -> None:
    nodes = cache(memory=100)
    for key in range(1, 41):
        got(nodes, key)
    nodes.lock("a")
    assert nodes.scan(10) == 0


@pytest.mark.parametrize("keys", [1, 2, 7, 40])
@pytest.mark.parametrize("threads", [1, 2, 5, 12])
def test_each_child_of_the_root_is_checked_once(keys: int, threads: int) -> None:
    for seed in range(30):
        state = bch_btree_check(keys, threads, random.Random(seed).randrange)
        assert sorted(key for _, key in state.checked) == list(range(keys))
        assert state.enough


def test_threads_share_the_work() -> None:
    state = bch_btree_check(100, 4, random.Random(1).randrange)
    assert {thread for thread, _ in state.checked} == {0, 1, 2, 3}


def test_no_thread_is_started_when_there_are_enough() -> None:
    # Always the oldest that runs, so that the first is done before another is started.
    state = bch_btree_check(3, 12, lambda _below: 0)
    assert {thread for thread, _ in state.checked} == {0}
