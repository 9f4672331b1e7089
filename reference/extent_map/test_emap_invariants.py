# SPDX-License-Identifier: GPL-2.0-or-later
"""Each invariant is seen when it is broken, and what is freed is seen when it is used."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reference.extent_map import (
    EXTENT_DIRTY,
    EXTENT_LOCKED,
    GFP_NOFS,
    Behaviour,
    ExtentMap,
    ExtentMapTree,
    ExtentState,
    InvariantError,
    extent_map_tree,
)
from reference.index import U64_MAX
from reference.machine import LeakedReference, UseAfterFree, fingerprint, run_alone

VERSIONS = (Behaviour.corrected_radix, Behaviour.corrected_rbtree)
by_version = pytest.mark.parametrize("behaviour", VERSIONS, ids=lambda behaviour: behaviour.structure)


def tree_of_two(behaviour: Behaviour) -> ExtentMapTree:
    """A tree with two states that touch, and two maps that do."""
    tree = extent_map_tree(behaviour)
    run_alone(tree.set_extent_dirty(0, 7, GFP_NOFS))
    run_alone(tree.lock_extent(4, 7, GFP_NOFS))
    for start, block in ((0, 1000), (4, 2000)):
        em = run_alone(tree.alloc_extent_map(GFP_NOFS))
        assert em is not None
        em.start, em.end, em.block_start, em.block_end = start, start + 3, block, block + 3
        assert run_alone(tree.add_extent_mapping(em)) == 0
        tree.free_extent_map(em)
    tree.validate()
    tree.check_quiet()
    return tree


def backward(tree: ExtentMapTree) -> None:
    next(iter(tree.states)).start = 4


def too_early(tree: ExtentMapTree) -> None:
    next(iter(tree.maps)).start = -1


def overlapping(tree: ExtentMapTree) -> None:
    list(tree.states)[1].start = 3


def overlapping_maps(tree: ExtentMapTree) -> None:
    list(tree.maps)[1].start = 3


def empty(tree: ExtentMapTree) -> None:
    next(iter(tree.states)).state = 0


def unknown_bit(tree: ExtentMapTree) -> None:
    next(iter(tree.states)).state |= 1 << 5


def unmerged(tree: ExtentMapTree) -> None:
    list(tree.states)[1].state &= ~EXTENT_LOCKED


def not_in_tree(tree: ExtentMapTree) -> None:
    next(iter(tree.states)).in_tree = False


def without_reference(tree: ExtentMapTree) -> None:
    next(iter(tree.maps)).refs = 0


def wrong_length(tree: ExtentMapTree) -> None:
    next(iter(tree.maps)).block_end += 1


BREAKS: list[tuple[int, Callable[[ExtentMapTree], None]]] = [
    (1, backward),
    (1, too_early),
    (2, overlapping),
    (2, overlapping_maps),
    (3, empty),
    (3, unknown_bit),
    (4, unmerged),
    (5, not_in_tree),
    (5, without_reference),
    (6, wrong_length),
]


@by_version
@pytest.mark.parametrize(("number", "break_it"), BREAKS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_invariant_is_seen(
    behaviour: Behaviour, number: int, break_it: Callable[[ExtentMapTree], None]
) -> None:
    tree = tree_of_two(behaviour)
    break_it(tree)
    with pytest.raises(InvariantError) as caught:
        tree.validate()
    assert caught.value.number == number


@by_version
def test_a_split_that_is_under_way_is_allowed(behaviour: Behaviour) -> None:
    tree = tree_of_two(behaviour)
    unmerged(tree)
    tree.validate(unfinished={4})


@by_version
def test_the_index_is_validated_too(behaviour: Behaviour) -> None:
    tree = tree_of_two(behaviour)
    list(tree.states)[1].end = U64_MAX + 1
    with pytest.raises(AssertionError, match=r"invariant [17]: "):
        tree.validate()


@by_version
def test_leaks_are_seen(behaviour: Behaviour) -> None:
    tree = tree_of_two(behaviour)
    em = run_alone(tree.lookup_extent_mapping(0, 0))
    assert em is not None
    with pytest.raises(LeakedReference, match=r"map \[0, 3\] at 1000 of None is in the tree, unused, with 2"):
        tree.check_quiet()
    tree.free_extent_map(em)
    tree.check_quiet()
    lost = tree.state_cache.alloc()
    assert lost is not None
    with pytest.raises(LeakedReference, match="1 allocated and in no tree"):
        tree.check_quiet()


def test_a_map_freed_in_the_tree_is_warned_of_by_the_second_version() -> None:
    tree = tree_of_two(Behaviour.corrected_rbtree)
    with pytest.raises(Exception, match=r"WARN_ON\(em->in_tree\)"):
        tree.free_extent_map(next(iter(tree.maps)))


@pytest.mark.parametrize("make", [ExtentState, ExtentMap])
def test_what_is_freed_must_not_be_used(make: type[ExtentState] | type[ExtentMap]) -> None:
    tree = extent_map_tree()
    cache = tree.state_cache if make is ExtentState else tree.map_cache
    entry = cache.alloc()
    assert entry is not None
    assert cache.live() == 1
    cache.free(entry)  # type: ignore[arg-type]
    assert cache.live() == 0
    for use in (
        lambda: entry.start,
        lambda: setattr(entry, "refs", 1),
        lambda: cache.free(entry),  # type: ignore[arg-type]
    ):
        with pytest.raises(UseAfterFree):
            use()
    assert "freed" in repr(entry)


@by_version
def test_equal_trees_have_equal_fingerprints(behaviour: Behaviour) -> None:
    first, second = tree_of_two(behaviour), tree_of_two(behaviour)
    assert fingerprint(first) == fingerprint(second)
    run_alone(first.clear_extent_dirty(0, 0, GFP_NOFS))
    assert fingerprint(first) != fingerprint(second)
    assert run_alone(second.test_range_bit(0, 0, EXTENT_DIRTY, True)) == 1
