# SPDX-License-Identifier: GPL-2.0-or-later
"""Small cases in every order of completions and works, and larger ones at every stop by chance."""

from __future__ import annotations

import random

import pytest

from reference.machine import Deadlock, Exploration, explore, random_runs
from reference.readahead.behaviour import Behaviour
from reference.readahead.source import MAX_KEY, MIN_KEY
from reference.readahead.testing import Blocks, key, readers

BOTH = pytest.mark.parametrize(
    "behaviour", [Behaviour.linux_5_10, Behaviour.seed_2011], ids=lambda behaviour: behaviour.name
)


def found(result: Exploration) -> list[str]:
    return [str(found.finding) for found in result.found]


@BOTH
def test_every_order_of_completions_ends_well(behaviour: Behaviour) -> None:
    source = Blocks([(1, 2), (2, 1)], 4)
    root = source.grow(2, 2, [0, 5, 1])
    result = explore(readers(behaviour, source, 2, [(root, MIN_KEY, MAX_KEY)], fine=False))
    assert found(result) == []
    assert result.complete
    assert result.states > 100


@BOTH
def test_two_readaheads_of_one_leaf_in_every_order(behaviour: Behaviour) -> None:
    source = Blocks([(1, 2)], 4)
    root = source.grow(1, 2, [1])
    wanted = [(root, MIN_KEY, MAX_KEY), (root, key(5), key(6))]
    result = explore(readers(behaviour, source, 2, wanted, fine=False))
    assert found(result) == []
    assert result.complete


@BOTH
def test_at_every_stop_by_chance(behaviour: Behaviour) -> None:
    source = Blocks([(1, 2), (2, 1)], 4)
    root = source.grow(3, 3, [0, 5, 1, 2])
    scenario = readers(behaviour, source, 2, [(root, MIN_KEY, MAX_KEY)], workers=2)
    result = random_runs(scenario, random.Random(1), 40)
    assert found(result) == []


def test_a_wait_that_nobody_ends_is_found() -> None:
    """Without its kick a waiter sleeps for ever: here no worker ever runs."""
    source = Blocks([(1,)], 4)
    root = source.grow(1, 2, [1])
    scenario = readers(Behaviour.seed_2011, source, 1, [(root, MIN_KEY, MAX_KEY)], workers=0, fine=False)
    result = explore(scenario)
    assert [type(found.finding) for found in result.found] == [Deadlock]
