# SPDX-License-Identifier: GPL-2.0-or-later
"""What is counted, with the numbers written out; and that nothing is when counting is off."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest

from reference.index.bplus import BPlusTree
from reference.index.naive import NaiveIndex
from reference.index.radix import RadixTree
from reference.index.testing import COUNTABLE, KEYS, Index, Twins, filled
from reference.index.work import Work, counting
from reference.rbtree import U64_MAX, Extent, rebalance

RB_TREE, RADIX_TREE, BPLUS_TREE = map(counting, COUNTABLE)
TENS = list(range(10, 80, 10))


def spent(index: Index, action: Callable[[], object]) -> Work:
    """Return the work of `action` alone."""
    index.work.clear()
    action()
    return index.work


# Switching it on and off.


def own_functions(cls: type[Index]) -> dict[str, FunctionType]:
    """Return the functions written in the class, without what typing adds to it."""
    return {
        name: value
        for name, value in vars(cls).items()
        if isinstance(value, FunctionType) and value.__module__ == cls.__module__
    }


@pytest.mark.parametrize("cls", COUNTABLE)
def test_without_counting_no_method_knows_of_work(cls: type[Index]) -> None:
    functions = own_functions(cls)
    knowing = {name for name, function in functions.items() if "work" in function.__code__.co_names}
    assert knowing == {"__init__"}
    counted = own_functions(counting(cls))
    assert counted
    for name, function in counted.items():
        stripped = functions[name].__code__
        assert "work" in function.__code__.co_names
        assert function.__code__.co_firstlineno == stripped.co_firstlineno
        assert function.__code__.co_filename == stripped.co_filename
        assert set(function.__code__.co_varnames) == set(stripped.co_varnames)


@pytest.mark.parametrize("cls", COUNTABLE)
def test_without_counting_work_stays_zero(cls: type[Index]) -> None:
    index = filled(cls, TENS)
    index.search(35)
    index.delete(40)
    assert index.work == Work()


@pytest.mark.parametrize("cls", COUNTABLE)
def test_counting_classes_are_of_the_class(cls: type[Index]) -> None:
    assert issubclass(counting(cls), cls)
    assert counting(cls).__name__ == f"Counting{cls.__name__}"


def test_others_do_not_count() -> None:
    with pytest.raises(KeyError):
        counting(NaiveIndex)


# The red-black tree: 20 on top of 10 and 40, that of 30 and 60, that of 50 and 70.


@pytest.mark.parametrize(
    ("offset", "visits", "compares"),
    [
        (20, 1, 2),  # Exactly there.
        (40, 2, 4),
        (45, 4, 2 + 2 + 1 + 1 + 1),  # 20, 40, 60, 50; is 50 before 45?
        (35, 3 + 1, 2 + 2 - 1 + 2 + 2),  # 20, 40, 30 and, by rb_next, 40; are 30 and 40 before 35?
        (71, 4 + 3, 2 + 2 + 2 + 2 + 1),  # 20, 40, 60, 70 and, by rb_next, all the way up.
    ],
)
def test_rbtree_search(offset: int, visits: int, compares: int) -> None:
    tree = filled(RB_TREE, TENS)
    work = spent(tree, lambda: tree.search(offset))
    assert (work.node_visits, work.compares) == (visits, compares)


def test_rbtree_search_costs_the_same_where_it_was_before() -> None:
    tree = filled(RB_TREE, TENS)
    assert spent(tree, lambda: tree.search(45)) == spent(tree, lambda: tree.search(45))


@pytest.mark.parametrize("end", [5, 15, 20, 35, 55, 69])
def test_rbtree_insert_before_costs_what_insert_costs(end: int) -> None:
    one, other = filled(RB_TREE, TENS), filled(RB_TREE, TENS)
    following = other.search(end)
    assert following is not None
    entry = Extent(end, end)
    assert spent(other, lambda: other.insert_before(entry, following)) == spent(
        one, lambda: one.insert(Extent(end, end))
    )


@pytest.mark.parametrize(
    ("end", "of_next", "of_prev"),
    [(10, 1, 1), (20, 2, 1), (30, 1, 2), (40, 2, 1), (50, 1, 2), (60, 1, 1), (70, 3, 1)],
)
def test_rbtree_neighbours(end: int, of_next: int, of_prev: int) -> None:
    tree = filled(RB_TREE, TENS)
    entry = tree.lookup(end)
    assert entry is not None
    assert spent(tree, lambda: tree.next(entry)).node_visits == of_next
    assert spent(tree, lambda: tree.prev(entry)).node_visits == of_prev


def test_rbtree_allocates_nothing() -> None:
    tree = filled(RB_TREE, TENS)
    assert (tree.work.allocations, tree.work.frees) == (0, 0)
    memory = tree.memory()
    assert (memory.nodes, memory.node_bytes, memory.total_bytes) == (7, 24, 7 * 24 + 8)
    assert (memory.slots_used, memory.slots_free) == (6, 8)


def test_rotations_are_those_done(monkeypatch: pytest.MonkeyPatch) -> None:
    done = 0

    def seen(rotate: Callable[[Any], None]) -> Callable[[Any], None]:
        def rotate_and_count(node: Any) -> None:
            nonlocal done
            done += 1
            rotate(node)

        return rotate_and_count

    monkeypatch.setattr(rebalance, "_rotate_left", seen(rebalance._rotate_left))
    monkeypatch.setattr(rebalance, "_rotate_right", seen(rebalance._rotate_right))
    rng = random.Random(3)
    twins = Twins(RB_TREE())
    for number in range(3_000):
        twins.random_step(rng, KEYS["dense"], growing=number % 1_000 < 600)
        assert twins.index.work.rotations == done
    assert done > 300


# The radix tree.


def test_radix_tree_lookup_visits_a_node_each_level() -> None:
    tree = filled(RADIX_TREE, [0, 64**3 - 1])
    assert spent(tree, lambda: tree.lookup(0)).node_visits == 3
    assert spent(tree, lambda: tree.lookup(64**2)).node_visits == 1
    assert spent(tree, lambda: tree.lookup(64**3)).node_visits == 0


def test_radix_tree_gang_lookup_begins_again_from_the_top_for_each_leaf() -> None:
    tree = filled(RADIX_TREE, [63, 64])
    work = spent(tree, lambda: tree.gang_lookup(0, 2))
    assert work.node_visits == 2 + 2
    assert work.slots == (1 + 64) + (2 + 1) - 1


def test_radix_tree_search_over_a_wide_gap() -> None:
    """Down to the leaf of 0, then from the top to a node one level higher each time, then down to the end."""
    tree = filled(RADIX_TREE, [0, U64_MAX])
    work = spent(tree, lambda: tree.search(1))
    assert work.node_visits == 11 + sum(range(2, 11)) + 11
    first = 10 + 63
    climbing = sum(visits - 1 + 63 for visits in range(2, 11))
    last = 15 + 10 * 64
    assert work.slots == first + climbing + last


def test_radix_tree_search_behind_the_last() -> None:
    """Up level by level again; of the top node's slots, there are 16."""
    tree = filled(RADIX_TREE, [1 << 63])
    work = spent(tree, lambda: tree.search((1 << 63) + 1))
    assert work.node_visits == 11 + sum(range(2, 11)) + 1
    assert work.slots == (10 + 63) + sum(visits - 1 + 63 for visits in range(2, 11)) + (16 - 9)


@pytest.mark.parametrize(("ends", "nodes"), [([0], 0), ([1], 1), ([0, 63], 1), ([0, 64], 3), ([4095], 2)])
def test_radix_tree_nodes(ends: list[int], nodes: int) -> None:
    tree = filled(RADIX_TREE, ends)
    assert (tree.work.allocations, tree.work.frees) == (nodes, 0)
    memory = tree.memory()
    assert (memory.nodes, memory.total_bytes) == (nodes, nodes * 552 + 16)
    assert memory.slots_used + memory.slots_free == 64 * nodes
    for end in ends:
        tree.delete(end)
    assert tree.work.frees == nodes


# The B+tree.


def test_bplus_tree_search() -> None:
    """Leaves of 10 to 80 and 90 to 170: keys are compared one after the other, until a greater one."""
    tree = filled(BPLUS_TREE, list(range(10, 180, 10)))
    root, leaf = 1 + 1, 1 + 2 + 1
    work = spent(tree, lambda: tree.search(30))
    assert (work.node_visits, work.compares) == (2, root + leaf)
    # Behind the last of the leaf: the next leaf is visited, too.
    work = spent(tree, lambda: tree.search(85))
    assert (work.node_visits, work.compares) == (3, root + 1 + 7)


def test_bplus_tree_copies_what_it_changes() -> None:
    tree = filled(BPLUS_TREE, list(range(10, 170, 10)))
    assert (tree.work.allocations, tree.work.frees) == (1 + 16, 16)
    # The 17th: two leaves for one, and a root on top.
    work = spent(tree, lambda: tree.insert(Extent(170, 170)))
    assert (work.allocations, work.frees, work.moves) == (3, 1, 17 + 2)
    # The right leaf can lend one: both leaves and the root are copied.
    work = spent(tree, lambda: tree.delete(10))
    assert (work.allocations, work.frees, work.moves) == (3, 3, 16 + 2)
    # Neither can lend now: the leaf joins the other, which becomes the root.
    work = spent(tree, lambda: tree.delete(20))
    assert (work.allocations, work.frees, work.moves) == (2, 4, 15 + 1)
    memory = tree.memory()
    assert (memory.nodes, memory.total_bytes, memory.slots_used) == (1, 256 + 48, 15)


@pytest.mark.parametrize("cls", [RadixTree, BPlusTree])
@pytest.mark.parametrize("key", ["dense", "anywhere"])
def test_allocations_and_frees_leave_the_nodes(cls: type[Index], key: str) -> None:
    rng = random.Random(5)
    twins = Twins(counting(cls)())
    for number in range(1_500):
        twins.random_step(rng, KEYS[key], growing=number % 1_000 < 700)
        if number % 50 == 0:
            work = twins.index.work
            assert work.allocations - work.frees == twins.index.memory().nodes
