# SPDX-License-Identifier: GPL-2.0-or-later
"""The behaviours' names, and how a kernel's functions tell them apart."""

from __future__ import annotations

import doctest

import pytest

from reference.extent_state import FEATURES, Behaviour, UnknownBehaviourError, behaviour
from reference.extent_state.testing import BEHAVIOURS

# What /proc/kallsyms has: Debian's 5.10.262, 6.1.192, 6.12.117 and 7.2.13, and 6.18.44.
FOUND = {
    "linux_5_10": ["free_extent_state"],
    "linux_6_1": ["free_extent_state", "lock_extent"],
    "linux_6_12": ["free_extent_state", "__lock_extent", "test_range_bit_exists"],
    "linux_6_18": [
        "btrfs_free_extent_state",
        "btrfs_lock_extent_bits",
        "btrfs_test_range_bit_exists",
        "btrfs_clear_extent_bit_changeset",
    ],
}
FOUND["linux_7_2"] = [*FOUND["linux_6_18"], "btrfs_reclaim_block_groups"]


@pytest.mark.parametrize("name", FOUND)
def test_each_kernel_is_told_by_its_functions(name: str) -> None:
    features = {f"symbol:{function}" for function in FOUND[name]}
    assert features <= set(FEATURES)
    assert Behaviour.of(features) == getattr(Behaviour, name)
    assert Behaviour.of([*features, "symbol:vfs_read", "event:sched_switch"]).name == name


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
    assert [found.name for found in BEHAVIOURS] == list(FOUND)
    assert Behaviour(trims_in_place=True, searches_again=True).name == "searches_again+trims_in_place"


def test_examples_in_docstrings() -> None:
    result = doctest.testmod(behaviour)
    assert result.attempted
    assert not result.failed
