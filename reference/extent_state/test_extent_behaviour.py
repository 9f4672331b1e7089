# SPDX-License-Identifier: GPL-2.0-or-later
"""The behaviours' names, and how a kernel's functions tell them apart."""

from __future__ import annotations

import doctest

import pytest

from reference.extent_state import FEATURES, Behaviour, UnknownBehaviourError, behaviour
from reference.extent_state.testing import BEHAVIOURS, FOUND


@pytest.mark.parametrize("expected", BEHAVIOURS, ids=lambda behaviour: behaviour.name)
def test_each_kernel_is_told_by_its_functions(expected: Behaviour) -> None:
    features = {f"symbol:{function}" for function in FOUND[expected]}
    assert features <= set(FEATURES)
    assert Behaviour.of(features) == expected
    assert Behaviour.of([*features, "symbol:vfs_read", "event:sched_switch"]) == expected


def test_every_feature_is_found_somewhere() -> None:
    assert {f"symbol:{name}" for names in FOUND.values() for name in names} == set(FEATURES)


@pytest.mark.parametrize(
    "features",
    [
        (),
        ("symbol:vfs_read",),
        ("symbol:lock_extent",),
        ("symbol:free_extent_state", "symbol:test_range_bit_exists"),
        ("symbol:btrfs_free_extent_state", "symbol:btrfs_reclaim_block_groups"),
    ],
)
def test_a_kernel_of_no_known_history_is_refused(features: tuple[str, ...]) -> None:
    with pytest.raises(UnknownBehaviourError, match="cannot be told") as caught:
        Behaviour.of(features)
    assert "\n" not in str(caught.value)


def test_behaviours_differ_and_are_named() -> None:
    assert len(set(BEHAVIOURS)) == len(BEHAVIOURS)
    names = ["linux_5_10", "linux_6_1", "linux_6_12", "linux_6_18", "linux_7_2"]
    assert [found.name for found in BEHAVIOURS] == names
    assert Behaviour(trims_in_place=True, searches_again=True).name == "searches_again+trims_in_place"


def test_examples_in_docstrings() -> None:
    result = doctest.testmod(behaviour)
    assert result.attempted
    assert not result.failed
